"""Archives compared with kaldiio, soundfile and lhotse; any damage is an error."""

import multiprocessing
import os
import re
import warnings
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import torch
from data_fixtures import cut_of, sound
from lhotse import CutSet, MonoCut
from lhotse.audio.utils import AudioLoadingError
from torch.utils.data import DataLoader, Dataset

from jointasr.data import archive, datadir, manifest, wav_scp
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

LENGTHS = [1, 2, 401, 16000, 35089]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Write ``a/wav.1.ark`` below the working directory and return its contents."""
    monkeypatch.chdir(tmp_path)
    waves = {f"s-é{n}": sound(n, n) for n in LENGTHS}
    waves["s-é2"][:] = [-32768, 32767]
    facts = archive.write_wav(waves.items(), Path("a/wav.1.ark"), Path("a/wav.1.scp"))
    assert facts == {utt: (len(w), archive.fingerprint(w)) for utt, w in waves.items()}
    return waves


def test_kaldiio_and_soundfile_read_the_same(made: dict[str, np.ndarray]) -> None:
    sources = datadir.read_table(Path("a/wav.1.scp"))
    assert list(sources) == sorted(made)
    for utterance, source in sources.items():
        rate, samples = kaldiio.load_mat(source)
        assert rate == 16000
        np.testing.assert_array_equal(samples, made[utterance])
        np.testing.assert_array_equal(archive.read_wav(source), made[utterance])
        assert wav_scp.header(source) == wav_scp.AudioHeader(16000, 1, len(made[utterance]))
    back = dict(kaldiio.load_ark("a/wav.1.ark"))
    assert list(back) == list(made)
    assert sorted(os.listdir("a")) == ["wav.1.ark", "wav.1.scp"]


def test_samples_are_a_writable_copy(made: dict[str, np.ndarray]) -> None:
    source = datadir.read_table(Path("a/wav.1.scp"))["s-é401"]
    samples = archive.read_wav(source)
    samples[:] = 0
    assert archive.read_wav(source).any()


def archived_cuts(made: dict[str, np.ndarray]) -> list[MonoCut]:
    sources = datadir.read_table(Path("a/wav.1.scp"))
    return [cut_of(Path(sources[utt]), utt, len(wave), speaker="s", dialogue="d")
            for utt, wave in sorted(made.items())]  # fmt: skip


def test_cuts_load_bit_for_bit(made: dict[str, np.ndarray]) -> None:
    manifest.write(CutSet.from_cuts(archived_cuts(made)), Path("d"), parts=False)
    assert manifest.validate(Path("d")) == []
    for cut in manifest.load(Path("d")):
        expected = made[cut.id].astype(np.float32) / 32768
        loaded = cut.load_audio()
        assert loaded.dtype == np.float32
        np.testing.assert_array_equal(loaded, expected[None])
        if cut.duration == 1.0:
            part = cut.truncate(offset=0.25, duration=0.5)
            np.testing.assert_array_equal(part.load_audio()[0], expected[4000:12000])


@pytest.mark.parametrize("factor", [0.95, 1.05])
@pytest.mark.parametrize("frames", [9361, 16000, 16007, 16013, 35089])
def test_speed_perturbed_cuts_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, frames: int
) -> None:
    monkeypatch.chdir(tmp_path)
    waves = {"s-1": sound(frames, frames)}
    archive.write_wav(waves.items(), Path("a/wav.1.ark"), Path("a/wav.1.scp"))
    cut = archived_cuts(waves)[0].perturb_speed(factor, affix_id=False)
    loaded = cut.load_audio()
    assert cut.id == "s-1"
    assert loaded.shape == (1, cut.num_samples)
    assert abs(cut.num_samples - frames / factor) <= 1
    assert 0.5 < np.std(loaded) / np.std(waves["s-1"] / 32768) < 1.5


class Waves(Dataset):
    """Unpickled in spawned workers; importing this module registers the backend there."""

    def __init__(self, cuts: list[MonoCut]) -> None:
        self.cuts = cuts

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor]:
        return self.cuts[index].id, torch.from_numpy(self.cuts[index].load_audio()[0])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_the_right_audio(made: dict[str, np.ndarray], context: str) -> None:
    cuts = archived_cuts(made) * 5
    loader = DataLoader(
        Waves(cuts), batch_size=None, num_workers=2, multiprocessing_context=context
    )
    seen = 0
    for utterance, wave in loader:
        np.testing.assert_array_equal(wave.numpy() * 32768, made[utterance])
        seen += 1
    assert seen == len(cuts)


def _damage(kind: str, source: str) -> str:
    """Damage the last entry of the archive of ``source``; return the source to read."""
    ark, offset = wav_scp.split(source)
    assert offset is not None
    path = Path(ark)
    data = bytearray(path.read_bytes())
    if kind == "one sample short":
        data = data[:-2]
    elif kind == "half gone":
        data = data[: offset + 44 + 100]
    elif kind == "header only":
        data = data[: offset + 44]
    elif kind == "cut in the header":
        data = data[: offset + 20]
    elif kind == "entry gone":
        data = data[:offset]
    elif kind == "header overwritten":
        data[offset : offset + 4] = b"\0\0\0\0"
    elif kind == "float format":
        data[offset + 20] = 3
    elif kind == "wrong offset":
        return f"{ark}:{offset + 2}"
    elif kind == "missing file":
        path.unlink()
        return source
    path.write_bytes(data)
    return source


@pytest.mark.parametrize(
    "kind",
    ["one sample short", "half gone", "header only", "cut in the header", "entry gone",
     "header overwritten", "float format", "wrong offset", "missing file"],
)  # fmt: skip
def test_damage_raises_and_names_the_utterance(made: dict[str, np.ndarray], kind: str) -> None:
    source = _damage(kind, datadir.read_table(Path("a/wav.1.scp"))["s-é35089"])
    with pytest.raises(DataError, match=re.escape(source)):
        archive.read_wav(source)
    with pytest.raises(DataError, match=re.escape(source)):
        wav_scp.header(source)
    cut = cut_of(Path(source), "s-é35089", 35089, speaker="s", dialogue="d")
    with pytest.raises(AudioLoadingError, match="s-é35089"):
        cut.load_audio()


@pytest.mark.parametrize("off", [-400, -2, 2, 400])
def test_an_entry_of_another_length_is_not_padded(made: dict[str, np.ndarray], off: int) -> None:
    source = datadir.read_table(Path("a/wav.1.scp"))["s-é35089"]
    cut = cut_of(Path(source), "s-é35089", 35089 + off, speaker="s", dialogue="d")
    with pytest.raises(AudioLoadingError, match="diverged"):
        cut.load_audio()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> "list":
        yield "s-1", sound(1, 100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.write_wav(broken(), tmp_path / "wav.1.ark", tmp_path / "wav.1.scp")
    assert list(tmp_path.iterdir()) == []
    for twice in ([("s-1", sound(1, 9)), ("s-1", sound(1, 9))], [("s-1", np.zeros(0, np.int16))]):
        with pytest.raises(DataError, match="s-1"):
            archive.write_wav(twice, tmp_path / "wav.1.ark", tmp_path / "wav.1.scp")
        assert list(tmp_path.iterdir()) == []


def test_wav_files_are_read_strictly(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "x.wav"
    cases = {
        "2 channels": lambda: soundfile.write(path, np.zeros((50, 2)), 16000),
        "8000 Hz": lambda: soundfile.write(path, np.zeros(50), 8000),
        "no samples": lambda: soundfile.write(path, np.zeros(0), 16000),
        "FLOAT": lambda: soundfile.write(path, np.zeros(50), 16000, subtype="FLOAT"),
        "not readable": lambda: path.write_bytes(b""),
        "no such": lambda: path.unlink(),
    }
    for message, make in cases.items():
        make()
        with pytest.raises(DataError, match=f"x.wav.*{message}"):
            wav_scp.read(str(path))


def test_features_come_back_within_a_step(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shapes = [(1, 1), (1, 512), (9, 3), (150, 96)]
    feats = {f"u{n}": (10.0**n) * generator.standard_normal(shape).astype(np.float32)
             for n, shape in enumerate(shapes)}  # fmt: skip
    feats["flat"] = np.full((4, 5), 2.5, dtype=np.float32)
    archive.write_feats(feats.items(), tmp_path / "feats.1.ark", tmp_path / "feats.1.scp")
    for utterance, source in datadir.read_table(tmp_path / "feats.1.scp").items():
        back = archive.read_feats(source)
        step = np.ptp(feats[utterance]) / 65535
        assert back.dtype == np.float32
        assert np.abs(back - feats[utterance]).max() <= 1.01 * step + 1e-6
    data = (tmp_path / "feats.1.ark").read_bytes()
    assert data[:7] == b"u0 \0BCM" and data.count(b"\0BCM2 ") == 5
    (tmp_path / "feats.1.ark").write_bytes(data[:-3])
    with pytest.raises(DataError, match=r"feats.1.ark:\d+"):
        archive.read_feats(source_of_last(tmp_path))
    bad = {"u9": np.array([[1.0, np.nan]], dtype=np.float32)}
    with pytest.raises(DataError, match="u9"):
        archive.write_feats(bad.items(), tmp_path / "feats.2.ark", tmp_path / "feats.2.scp")


def source_of_last(folder: Path) -> str:
    sources = datadir.read_table(folder / "feats.1.scp").values()
    return max(sources, key=lambda source: wav_scp.split(source)[1] or 0)


def test_memory_does_not_grow_and_no_file_stays_open(made: dict[str, np.ndarray]) -> None:
    cuts = archived_cuts(made)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        for cut in cuts:
            cut.load_audio()
    assert len(os.listdir("/proc/self/fd")) == before


def test_import_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process = multiprocessing.get_context("spawn").Process(target=_import)
        process.start()
        process.join()
    assert process.exitcode == 0


def _import() -> None:
    assert archive.BACKEND.handles_special_case("a.ark:12")
    assert not archive.BACKEND.handles_special_case("a.wav")
