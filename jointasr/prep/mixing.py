"""Mix speech and noise at an exact signal-to-noise ratio (SNR).

SNR = 10 log10(P_speech / P_noise) dB with mean powers over all samples of the utterance, computed
in float64 before the mixture is rounded to 16 bits. The draws for an utterance depend only on the
seed, the set and the utterance. Each draw has its own random stream: changing the number of
talkers, for example, changes neither the type of noise nor the SNR.
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
SILENCE_POWER = 10.0 ** (-60 / 10)
"""mean power of -60 dBFS; quieter crops are drawn again"""
MAX_REDRAWS = 1000
"""maximum number of attempts to draw a crop that is not silent"""
MAX_AMPLITUDE = 32767 / 32768
"""the largest absolute value that 16 bits represent with either sign"""


@dataclass(frozen=True)
class MixCondition:
    """The noise of one data set."""

    name: str
    """name of the set: a test scenario, train_noisy or dev_noisy"""
    pool: str
    """pool of noise files: train, dev or test"""
    kinds: tuple[str, ...]
    """types of noise, drawn uniformly"""
    snr: tuple[float, float]
    """lowest and highest SNR in dB; drawn uniformly between them"""
    talkers: tuple[int, int] = (1, 1)
    """smallest and largest number of talkers of background speech; drawn uniformly"""


class NoiseSegment(NamedTuple):
    """A segment of a noise file that crops are taken from: the whole file or one window."""

    recording: str
    start: int
    """samples"""
    frames: int
    """samples"""


class NoisePool:
    """The noise files of one pool, as listed in data/local/musan."""

    def __init__(self, folder: Path, pool: str, window: float = 0.0) -> None:
        """Read the pool from ``folder``.

        ``window``: length in seconds of the windows that files are cut into; 0, or a file that is
        shorter: the whole file. Raises DataError for a malformed table.
        """
        kinds = _read_pool(folder / layout.POOLS, pool)
        self.pool, self.folder = pool, folder
        self._sources: dict[str, str] = {}
        self._segments: dict[str, list[NoiseSegment]] = {kind: [] for kind in KINDS}
        recordings = jsonl.read(folder / layout.RECORDINGS)
        for item in sorted(recordings, key=lambda item: item["id"]):
            if (kind := kinds.pop(item["id"], None)) is None:
                continue
            self._sources[item["id"]] = item["sources"][0]["source"]
            self._segments[kind] += _cut(item["id"], item["num_samples"], window)
        if kinds:
            raise DataError(
                f"{folder}: {min(kinds)} is in {layout.POOLS}, not in {layout.RECORDINGS}"
            )

    def check(self, condition: MixCondition) -> None:
        """Raise DataError if the pool lacks files that the condition requires."""
        for kind in condition.kinds:
            talkers = condition.talkers[1] if kind == "speech" else 1
            if len({segment.recording for segment in self.segments(kind)}) < talkers:
                raise DataError(
                    f"{self.folder}/{layout.POOLS}: background speech of {talkers} talkers needs "
                    f"as many files in the {self.pool} pool; lower data.babble_talkers"
                )

    def segments(self, kind: str) -> list[NoiseSegment]:
        """Return the segments of a type of noise, sorted by id; DataError if there are none."""
        if not self._segments[kind]:
            raise DataError(f"{self.folder}/{layout.POOLS}: no {kind} in the {self.pool} pool")
        return self._segments[kind]

    def read(self, segment: NoiseSegment, offset: int, frames: int) -> np.ndarray:
        """Read ``frames`` samples from ``offset`` (in the file), looping within the segment.

        Returns float64 in [-1, 1), shape (frames,).
        """
        source, end = self._sources[segment.recording], segment.start + segment.frames
        assert segment.start <= offset < end, segment
        if offset + frames <= end:
            return wav_scp.read(source, offset, frames) / wav_scp.FULL_SCALE
        samples = wav_scp.read(source, segment.start, segment.frames)
        looped = np.take(samples, np.arange(frames) + offset - segment.start, mode="wrap")
        return looped / wav_scp.FULL_SCALE


def plan(
    utterance: str, speech: np.ndarray, condition: MixCondition, pool: NoisePool, seed: int
) -> dict[str, Any]:
    """Draw the noise of an utterance, given its speech (int16, shape (frames,)).

    Returns a record of plain values: ``id``, ``type``; for each noise file (several only in
    babble) ``noise``, ``windows`` [start, frames], ``offsets`` (samples in the file) and
    ``weights`` (which give all files the same power); ``gain`` of the noise, ``scale`` of the
    mixture (1 unless it would clip), ``snr_requested`` and ``snr_measured`` in dB, ``redraws``.
    Raises DataError naming a silent utterance.
    """
    power = _speech_power(utterance, speech)

    def generator(*purpose: str | int) -> np.random.Generator:
        return rng.stream(seed, "mix", condition.name, utterance, *purpose)

    kind = condition.kinds[int(generator("type").integers(len(condition.kinds)))]
    snr = float(generator("snr").uniform(*condition.snr))
    talkers = int(generator("talkers").integers(*condition.talkers, endpoint=True))
    record: dict[str, Any] = {"id": utterance, "type": kind}
    record |= {"noise": [], "windows": [], "offsets": [], "weights": [], "redraws": 0}
    waves = [
        _draw_crop(record, len(speech), pool, generator("noise", index))
        for index in range(talkers if kind == "speech" else 1)
    ]
    noise = _add_up(waves, record["weights"])
    record["gain"] = float(np.sqrt(power / mean_power(noise) / 10.0 ** (snr / 10)))
    mixture = speech / wav_scp.FULL_SCALE + record["gain"] * noise
    record["scale"] = MAX_AMPLITUDE / max(MAX_AMPLITUDE, float(np.abs(mixture).max()))
    record["snr_requested"] = snr
    record["snr_measured"] = _measure_snr(speech, mixture)
    return record


def render(record: dict[str, Any], speech: np.ndarray, pool: NoisePool) -> np.ndarray:
    """Compute a planned mixture: float64 in [-1, 1), in the shape of ``speech`` (int16).

    Raises DataError naming the utterance if the SNR differs from the planned one: the speech or a
    noise file has changed since.
    """
    _speech_power(record["id"], speech)
    crops = zip(record["noise"], record["windows"], record["offsets"], strict=True)
    waves = [
        pool.read(NoiseSegment(name, *window), offset, len(speech))
        for name, window, offset in crops
    ]
    noise = _add_up(waves, record["weights"])
    mixture = speech / wav_scp.FULL_SCALE + record["gain"] * noise
    if abs(_measure_snr(speech, mixture) - record["snr_measured"]) > 1e-6:
        raise DataError(
            f"{record['id']}: its audio, or that of {' '.join(record['noise'])}, has changed since "
            "the mixtures were planned; run stage 2 again with --force true"
        )
    return record["scale"] * mixture


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Round a signal in [-1, 1) to 16 bits; larger values are a bug and not clipped."""
    rounded = np.rint(signal * wav_scp.FULL_SCALE)
    assert np.abs(rounded).max(initial=0.0) <= wav_scp.FULL_SCALE - 1, "mixture above full scale"
    return rounded.astype(np.int16)


def mean_power(signal: np.ndarray) -> float:
    """Return the mean square of a float64 signal."""
    return float(np.dot(signal, signal)) / len(signal)


def _draw_crop(
    record: dict[str, Any], frames: int, pool: NoisePool, generator: np.random.Generator
) -> np.ndarray:
    """Draw a crop that is not silent, from a file that is not in the record, and add it there."""
    segments = pool.segments(record["type"])
    for _ in range(MAX_REDRAWS):
        segment = segments[int(generator.integers(len(segments)))]
        # A segment shorter than the speech is looped from a random sample.
        surplus = segment.frames - frames
        offset = segment.start + int(
            generator.integers(surplus + 1 if surplus >= 0 else segment.frames)
        )
        if segment.recording in record["noise"]:
            continue
        wave = pool.read(segment, offset, frames)
        power = mean_power(wave)
        if power >= SILENCE_POWER:
            break
        record["redraws"] += 1
    else:
        raise DataError(
            f"{pool.folder}: {MAX_REDRAWS} crops of {record['type']} in the {pool.pool} pool are "
            f"all below -60 dBFS (for {record['id']})"
        )
    record["noise"].append(segment.recording)
    record["windows"].append([segment.start, segment.frames])
    record["offsets"].append(offset)
    record["weights"].append(float(1.0 / np.sqrt(power)))
    return wave


def _add_up(waves: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return the sum of the crops, each scaled to the power of the first."""
    total = waves[0].copy()
    for wave, weight in zip(waves[1:], weights[1:], strict=True):
        total += wave * (weight / weights[0])
    return total


def _speech_power(utterance: str, speech: np.ndarray) -> float:
    """Return the mean power of int16 speech; raise DataError if it is silent."""
    assert speech.dtype == np.int16 and speech.ndim == 1, utterance
    power = mean_power(speech / wav_scp.FULL_SCALE)
    if power == 0.0:
        raise DataError(f"{utterance}: silent, all samples are 0; its SNR is undefined. Exclude it")
    return power


def _measure_snr(speech: np.ndarray, mixture: np.ndarray) -> float:
    """Return the SNR in dB of an unscaled mixture; its noise is the mixture minus the speech."""
    signal = speech / wav_scp.FULL_SCALE
    return float(10.0 * np.log10(mean_power(signal) / mean_power(mixture - signal)))


def _read_pool(path: Path, pool: str) -> dict[str, str]:
    """Read ``{recording: type}`` of a pool from the table ``id type pool``."""
    kinds = {}
    for name, rest in datadir.read_table(path).items():
        fields = rest.split()
        if len(fields) != 2 or fields[0] not in KINDS or fields[1] not in POOLS:
            raise DataError(f"{path}: {name}: expected a type and a pool, not {rest!r}")
        if fields[1] == pool:
            kinds[name] = fields[0]
    return kinds


def _cut(recording: str, frames: int, window: float) -> Iterator[NoiseSegment]:
    """Yield the whole file, or its complete windows (the remainder is not used)."""
    length = round(window * wav_scp.RATE)
    if not 0 < length < frames:
        yield NoiseSegment(recording, 0, frames)
        return
    for start in range(0, frames - length + 1, length):
        yield NoiseSegment(recording, start, length)


def report(condition: MixCondition, records: Sequence[dict[str, Any]]) -> str:
    """Describe the mixtures of a set: types, SNRs, largest deviation, scaling, redraws."""
    requested = np.array([record["snr_requested"] for record in records])
    deviations = np.abs(np.array([record["snr_measured"] for record in records]) - requested)
    scales = np.array([record["scale"] for record in records])
    kinds = {kind: sum(record["type"] == kind for record in records) for kind in condition.kinds}
    noise_files = {name for record in records for name in record["noise"]}
    worst = records[int(deviations.argmax())]["id"]
    lines = [
        f"set             {condition.name} (noise files of the {condition.pool} pool)",
        f"utterances      {len(records)}",
        f"noise types     {', '.join(f'{kind} {count}' for kind, count in kinds.items())}",
        f"noise files     {len(noise_files)} used",
        f"requested SNR   {requested.min():.2f} to {requested.max():.2f} dB, mean "
        f"{requested.mean():.2f}",
        f"SNR deviation   at most {deviations.max():.2e} dB ({worst})",
        f"scaled down     {int((scales < 1).sum())}, by at most "
        f"{-20 * np.log10(scales.min()) + 0.0:.2f} dB, to avoid clipping; clipped: 0",
        f"redraws         {sum(record['redraws'] for record in records)} crops below -60 dBFS",
    ]
    if max(len(record["noise"]) for record in records) > 1:
        talkers = [len(record["noise"]) for record in records if record["type"] == "speech"]
        lines.append(f"talkers         {min(talkers)} to {max(talkers)} per babble")
    return "\n".join(lines) + "\n"
