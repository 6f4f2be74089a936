"""Noise mixing at an exact signal-to-noise ratio.

The ratio is that of mean powers, both over the utterance's own samples, in float64, before the
mixture is rounded to 16 bits. What is drawn for an utterance depends on the seed, the set and the
utterance only, and each choice has its own stream: more talkers, say, change neither the kind of
noise nor the ratio.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jointasr.config import layout
from jointasr.config.scenarios import KINDS
from jointasr.data import datadir, wav_scp
from jointasr.utils import jsonl, rng
from jointasr.utils.errors import DataError

POOLS = ("train", "dev", "test")
QUIET = 10.0 ** (-60 / 10)  # mean power, -60 dB below full scale, where full scale is 1
REDRAWS = 1000  # a pool in which so many crops in a row are silent is broken
CEILING = 32767 / 32768  # the largest value that 16 bits hold in both signs


@dataclass(frozen=True)
class Condition:
    """How one set is mixed."""

    name: str
    """the set: a test scenario, train_noisy or dev_noisy"""
    pool: str
    """noise files it may use: train, dev or test"""
    kinds: tuple[str, ...]
    """kinds of noise, drawn evenly"""
    snr: tuple[float, float]
    """least and greatest ratio in dB, drawn uniformly between them"""
    talkers: tuple[int, int] = (1, 1)
    """fewest and most voices of background speech, drawn uniformly"""


class Piece(NamedTuple):
    """A stretch of a noise file that crops are taken from: all of it, or one window."""

    recording: str
    start: int
    frames: int


class Noises:
    """The noise files of one pool, as data/local/musan lists them."""

    def __init__(self, folder: Path, pool: str, window: float = 0.0) -> None:
        """``window``: seconds to cut files into first (a shorter file stays whole); 0: no cuts."""
        kinds = _kinds(folder / "pools.tsv", pool)
        self.pool, self.folder = pool, folder
        self._sources: dict[str, str] = {}
        self._pieces: dict[str, list[Piece]] = {kind: [] for kind in KINDS}
        items = [item for item in jsonl.read(folder / layout.RECORDINGS)]
        for item in sorted(items, key=lambda item: item["id"]):
            if (kind := kinds.pop(item["id"], None)) is None:
                continue
            self._sources[item["id"]] = item["sources"][0]["source"]
            self._pieces[kind] += _pieces(item["id"], item["num_samples"], window)
        if kinds:
            raise DataError(f"{folder}: {min(kinds)} is in pools.tsv, not in {layout.RECORDINGS}")

    def check(self, condition: Condition) -> None:
        """Raise DataError when the pool has not the files that the condition needs."""
        for kind in condition.kinds:
            voices = condition.talkers[1] if kind == "speech" else 1
            if len({piece.recording for piece in self.pieces(kind)}) < voices:
                raise DataError(
                    f"{self.folder}/pools.tsv: background speech of {voices} talkers needs as "
                    f"many files in the {self.pool} pool; lower data.babble_talkers"
                )

    def pieces(self, kind: str) -> list[Piece]:
        """What crops of this kind are drawn from, sorted by id; DataError when there is none."""
        if not self._pieces[kind]:
            raise DataError(f"{self.folder}/pools.tsv: no {kind} in the {self.pool} pool")
        return self._pieces[kind]

    def read(self, piece: Piece, offset: int, frames: int) -> np.ndarray:
        """``frames`` samples from ``offset`` (in the file) on, looped within the piece.

        Returns float64 in [-1, 1), shape (frames,).
        """
        source, end = self._sources[piece.recording], piece.start + piece.frames
        assert piece.start <= offset < end, piece
        if offset + frames <= end:
            return wav_scp.read(source, offset, frames) / wav_scp.FULL_SCALE
        whole = wav_scp.read(source, piece.start, piece.frames)
        looped = np.take(whole, np.arange(frames) + offset - piece.start, mode="wrap")
        return looped / wav_scp.FULL_SCALE


def plan(
    utterance: str, speech: np.ndarray, condition: Condition, noises: Noises, seed: int
) -> dict[str, Any]:
    """Draw the noise of one utterance (int16, shape (frames,)) and measure the mixture.

    Returns a record of plain values: ``id``, ``type``, for each voice (one, except in babble)
    ``noise``, ``windows`` [start, frames], ``offsets`` (samples in the file) and ``weights``
    (which make all voices equally powerful), then ``gain`` of the noise, ``scale`` of the whole
    mixture (1 unless it would clip), ``snr_requested`` and ``snr_measured`` in dB, ``redraws``.
    Raises DataError naming a silent utterance.
    """
    power = _speech_power(utterance, speech)

    def draws(*purpose: str | int) -> np.random.Generator:
        return rng.stream(seed, "mix", condition.name, utterance, *purpose)

    kind = condition.kinds[int(draws("type").integers(len(condition.kinds)))]
    snr = float(draws("snr").uniform(*condition.snr))
    voices = int(draws("talkers").integers(*condition.talkers, endpoint=True))
    record: dict[str, Any] = {"id": utterance, "type": kind}
    record |= {"noise": [], "windows": [], "offsets": [], "weights": [], "redraws": 0}
    waves = [
        _add_voice(record, len(speech), noises, draws("noise", voice))
        for voice in range(voices if kind == "speech" else 1)
    ]
    noise = _sum(waves, record["weights"])
    record["gain"] = float(np.sqrt(power / mean_power(noise) / 10.0 ** (snr / 10)))
    mixture = speech / wav_scp.FULL_SCALE + record["gain"] * noise
    record["scale"] = CEILING / max(CEILING, float(np.abs(mixture).max()))
    record["snr_requested"] = snr
    record["snr_measured"] = _measure(speech, mixture)
    return record


def render(record: dict[str, Any], speech: np.ndarray, noises: Noises) -> np.ndarray:
    """The mixture that ``plan`` planned, float64 in [-1, 1), shape of ``speech`` (int16).

    Raises DataError naming the utterance when its ratio is not what was measured then: the
    speech or the noise file is not the same any more.
    """
    _speech_power(record["id"], speech)
    crops = zip(record["noise"], record["windows"], record["offsets"], strict=True)
    waves = [
        noises.read(Piece(name, *window), offset, len(speech)) for name, window, offset in crops
    ]
    noise = _sum(waves, record["weights"])
    mixture = speech / wav_scp.FULL_SCALE + record["gain"] * noise
    if abs(_measure(speech, mixture) - record["snr_measured"]) > 1e-6:
        raise DataError(
            f"{record['id']}: its audio, or that of {' '.join(record['noise'])}, has changed since "
            "the mixtures were planned; run stage 2 again with --force true"
        )
    return record["scale"] * mixture


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Round a signal in [-1, 1) to 16 bits. Nothing is clipped: too large a value is a bug."""
    rounded = np.rint(signal * wav_scp.FULL_SCALE)
    assert np.abs(rounded).max(initial=0.0) <= wav_scp.FULL_SCALE - 1, "mixture above full scale"
    return rounded.astype(np.int16)


def mean_power(signal: np.ndarray) -> float:
    """Mean square of a float64 signal."""
    return float(np.dot(signal, signal)) / len(signal)


def _add_voice(
    record: dict[str, Any], frames: int, noises: Noises, draw: np.random.Generator
) -> np.ndarray:
    """Add to the record a file it does not have yet and a crop of it that is not silent."""
    pieces = noises.pieces(record["type"])
    for _ in range(REDRAWS):
        piece = pieces[int(draw.integers(len(pieces)))]
        # A crop when the piece is long enough, else anywhere in the loop.
        places = piece.frames - frames + 1 if piece.frames >= frames else piece.frames
        offset = piece.start + int(draw.integers(places))
        if piece.recording in record["noise"]:
            continue
        wave = noises.read(piece, offset, frames)
        power = mean_power(wave)
        if power >= QUIET:
            break
        record["redraws"] += 1
    else:
        raise DataError(
            f"{noises.folder}: {REDRAWS} crops of {record['type']} in the {noises.pool} pool are "
            f"all below -60 dBFS (for {record['id']})"
        )
    record["noise"].append(piece.recording)
    record["windows"].append([piece.start, piece.frames])
    record["offsets"].append(offset)
    record["weights"].append(float(1.0 / np.sqrt(power)))
    return wave


def _sum(waves: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The noise before ``gain``: all voices at the power of the first, added up."""
    total = waves[0].copy()
    for wave, weight in zip(waves[1:], weights[1:], strict=True):
        total += wave * (weight / weights[0])
    return total


def _speech_power(utterance: str, speech: np.ndarray) -> float:
    assert speech.dtype == np.int16 and speech.ndim == 1, utterance
    power = mean_power(speech / wav_scp.FULL_SCALE)
    if power == 0.0:
        raise DataError(f"{utterance}: silent, all samples are 0; no SNR exists. Leave it out")
    return power


def _measure(speech: np.ndarray, mixture: np.ndarray) -> float:
    """The ratio in dB found in a mixture (before ``scale``) by taking the speech out again."""
    signal = speech / wav_scp.FULL_SCALE
    return float(10.0 * np.log10(mean_power(signal) / mean_power(mixture - signal)))


def _kinds(path: Path, pool: str) -> dict[str, str]:
    """``{recording: kind}`` of a pool, from the table ``id type pool``."""
    kinds = {}
    for name, rest in datadir.read_table(path).items():
        fields = rest.split()
        if len(fields) != 2 or fields[0] not in KINDS or fields[1] not in POOLS:
            raise DataError(f"{path}: {name}: expected a type and a pool, not {rest!r}")
        if fields[1] == pool:
            kinds[name] = fields[0]
    return kinds


def _pieces(recording: str, frames: int, window: float) -> Iterator[Piece]:
    """The whole file, or its full windows (the rest is dropped)."""
    length = round(window * wav_scp.RATE)
    if not 0 < length < frames:
        yield Piece(recording, 0, frames)
        return
    for start in range(0, frames - length + 1, length):
        yield Piece(recording, start, length)


def report(condition: Condition, records: Sequence[dict[str, Any]]) -> str:
    """What was mixed, in text: kinds, ratios, the worst deviation, scaling, redraws."""
    asked = np.array([record["snr_requested"] for record in records])
    off = np.abs(np.array([record["snr_measured"] for record in records]) - asked)
    scales = np.array([record["scale"] for record in records])
    kinds = {kind: sum(record["type"] == kind for record in records) for kind in condition.kinds}
    files = {name for record in records for name in record["noise"]}
    worst = records[int(off.argmax())]["id"]
    lines = [
        f"set             {condition.name} (noise files of the {condition.pool} pool)",
        f"utterances      {len(records)}",
        f"kinds           {', '.join(f'{kind} {count}' for kind, count in kinds.items())}",
        f"noise files     {len(files)} used",
        f"requested SNR   {asked.min():.2f} to {asked.max():.2f} dB, mean {asked.mean():.2f}",
        f"|measured-requested| at most {off.max():.2e} dB ({worst})",
        f"scaled down     {int((scales < 1).sum())}, by at most "
        f"{-20 * np.log10(scales.min()) + 0.0:.2f} dB, to stay below full scale; clipped: 0",
        f"redraws         {sum(record['redraws'] for record in records)} crops below -60 dBFS",
    ]
    if max(len(record["noise"]) for record in records) > 1:
        voices = [len(record["noise"]) for record in records if record["type"] == "speech"]
        lines.append(f"talkers         {min(voices)} to {max(voices)} per babble")
    return "\n".join(lines) + "\n"
