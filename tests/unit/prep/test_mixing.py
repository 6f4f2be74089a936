"""Exact SNR against a direct computation; draws depend on seed, set and utterance; bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from data_fixtures import make_musan, sound, write_wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointasr.config import scenarios
from jointasr.data import datadir
from jointasr.prep import mixing, mixture_plans
from jointasr.utils import files, jsonl
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

TRAIN = mixing.MixCondition("train_noisy", "train", mixing.KINDS, (5.0, 35.0))


@pytest.fixture
def musan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_musan(Path())
    return Path("data/local/musan")


def decibels(signal: np.ndarray, rest: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(signal)) / np.mean(np.square(rest)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    frames=st.integers(50, 40000),
    level=st.floats(0.001, 0.9),
    snr=st.floats(-10, 40),
    kind=st.sampled_from(mixing.KINDS),
    talkers=st.integers(1, 2),
    seed=st.integers(0, 2**40),
)
def test_the_snr_is_exact(
    musan: Path, frames: int, level: float, snr: float, kind: str, talkers: int, seed: int
) -> None:
    speech = sound(seed % 1000, frames, level)
    if not speech.any():
        return
    condition = mixing.MixCondition("x", "test", (kind,), (snr, snr), (talkers, talkers))
    pool = mixing.NoisePool(musan, "test")
    record = mixing.plan("s-1", speech, condition, pool, seed)
    assert json.loads(json.dumps(record)) == record
    assert record["snr_requested"] == pytest.approx(snr)
    assert abs(record["snr_measured"] - snr) < 1e-6
    mixture = mixing.render(json.loads(json.dumps(record)), speech, pool)
    clean = speech / 32768 * record["scale"]
    assert abs(decibels(clean, mixture - clean) - snr) < 1e-6
    samples = mixing.to_int16(mixture)
    assert np.abs(mixture).max() <= 32767 / 32768 + 1e-12
    assert np.abs(samples / 32768 - mixture).max() <= 0.5 / 32768 + 1e-12
    assert len(record["noise"]) == (talkers if kind == "speech" else 1)


def test_the_noise_consists_of_samples_of_the_file(musan: Path) -> None:
    """Recompute mixtures from their records with soundfile alone."""
    import soundfile

    speech = sound(3, 9000)
    pool = mixing.NoisePool(musan, "train")
    for utterance in "abcdefghij":
        record = mixing.plan(utterance, speech, TRAIN, pool, 0)
        noise_file, _ = soundfile.read(f"musan/{record['noise'][0]}.wav")
        indices = (record["offsets"][0] + np.arange(9000)) % len(noise_file)
        expected = (speech / 32768 + record["gain"] * noise_file[indices]) * record["scale"]
        assert np.abs(mixing.render(record, speech, pool) - expected).max() < 1e-12
        assert record["noise"][0].startswith(f"{record['type']}-train-")
        if len(noise_file) > 9000:
            assert record["offsets"][0] + 9000 <= len(noise_file)  # cropped, not looped


def test_draws_depend_on_seed_set_and_utterance_only(musan: Path) -> None:
    speech = sound(1, 8000)
    pool = mixing.NoisePool(musan, "train")
    ids = [f"u{number}" for number in range(12)]
    forward = {name: mixing.plan(name, speech, TRAIN, pool, 7) for name in ids}
    backward = {name: mixing.plan(name, speech, TRAIN, pool, 7) for name in reversed(ids)}
    assert forward == backward
    assert mixing.plan("u1", speech, TRAIN, pool, 8) != forward["u1"]
    other = mixing.MixCondition("other", "train", mixing.KINDS, (5.0, 35.0))
    assert mixing.plan("u1", speech, other, pool, 7)["offsets"] != forward["u1"]["offsets"]
    babble = mixing.MixCondition("train_noisy", "train", mixing.KINDS, (5.0, 35.0), (2, 2))
    for name in ids:
        changed = mixing.plan(name, speech, babble, pool, 7)
        for key in ("type", "snr_requested"):
            assert changed[key] == forward[name][key]
        assert changed["offsets"][0] == forward[name]["offsets"][0]


def test_types_and_snrs_are_uniform(musan: Path) -> None:
    speech = sound(1, 100)
    pool = mixing.NoisePool(musan, "train")
    records = [mixing.plan(f"u{n}", speech, TRAIN, pool, 0) for n in range(1500)]
    for kind in mixing.KINDS:
        assert 440 < sum(record["type"] == kind for record in records) < 560
    requested = np.array([record["snr_requested"] for record in records])
    counts, _ = np.histogram(requested, bins=6, range=(5, 35))
    assert requested.min() >= 5 and requested.max() <= 35 and counts.min() > 200
    report = mixing.report(TRAIN, records)
    assert "utterances      1500" in report and "noise files     6 used" in report


def test_babble_talkers_have_equal_power(musan: Path) -> None:
    speech = sound(1, 16000)
    loud = write_wav(Path("musan/speech-test-1.wav"), sound(5, 30000, 0.2))
    quiet = write_wav(Path("musan/speech-test-0.wav"), sound(6, 2500, 0.01))
    pool = mixing.NoisePool(musan, "test")
    condition = mixing.MixCondition("babble", "test", ("speech",), (10.0, 10.0), (2, 2))
    record = mixing.plan("u", speech, condition, pool, 0)
    assert {f"musan/{name}.wav" for name in record["noise"]} == {str(loud), str(quiet)}
    powers = []
    for name, window, offset, weight in zip(
        record["noise"], record["windows"], record["offsets"], record["weights"], strict=True
    ):
        wave = pool.read(mixing.NoiseSegment(name, *window), offset, 16000)
        powers.append(np.mean((wave * weight) ** 2))
    assert powers[0] == pytest.approx(powers[1])
    clean = speech / 32768 * record["scale"]
    assert decibels(clean, mixing.render(record, speech, pool) - clean) == pytest.approx(10)
    too_many = mixing.MixCondition("babble", "test", ("speech",), (10.0, 10.0), (3, 3))
    with pytest.raises(DataError, match="3 talkers needs as many files in the test pool"):
        pool.check(too_many)
    pool.check(condition)


def test_a_loud_mixture_is_scaled_as_a_whole(musan: Path) -> None:
    speech = sound(1, 16000, 0.9)
    pool = mixing.NoisePool(musan, "test")
    condition = mixing.MixCondition("x", "test", ("noise",), (-5.0, -5.0))
    record = mixing.plan("u", speech, condition, pool, 0)
    assert record["scale"] < 1
    mixture = mixing.render(record, speech, pool)
    assert np.abs(mixture).max() == pytest.approx(32767 / 32768)
    assert np.abs(mixing.to_int16(mixture)).max() == 32767
    assert "scaled down     1, by at most" in mixing.report(condition, [record])


def test_silent_crops_are_redrawn_and_counted(musan: Path) -> None:
    half = np.concatenate([np.zeros(25000, np.int16), sound(1, 5000)])
    write_wav(Path("musan/noise-test-1.wav"), half)
    write_wav(Path("musan/noise-test-0.wav"), np.zeros(2500, np.int16))
    pool = mixing.NoisePool(musan, "test")
    condition = mixing.MixCondition("x", "test", ("noise",), (5.0, 5.0))
    records = [mixing.plan(f"u{n}", sound(2, 2000), condition, pool, 0) for n in range(20)]
    assert sum(record["redraws"] for record in records) > 20
    assert {record["noise"][0] for record in records} == {"noise-test-1"}
    write_wav(Path("musan/noise-test-1.wav"), np.zeros(30000, np.int16))
    with pytest.raises(DataError, match="all below -60 dBFS"):
        mixing.plan("u", sound(2, 2000), condition, mixing.NoisePool(musan, "test"), 0)


def test_windows(musan: Path) -> None:
    pool = mixing.NoisePool(musan, "test", window=0.5)
    segments = pool.segments("music")
    assert segments[0] == mixing.NoiseSegment("music-test-0", 0, 2500)  # shorter than a window
    assert segments[1:] == [
        mixing.NoiseSegment("music-test-1", start, 8000) for start in (0, 8000, 16000)
    ]
    for number in range(20):
        record = mixing.plan(
            f"u{number}", sound(1, 12000), TRAIN, mixing.NoisePool(musan, "train", 0.5), 0
        )
        start, frames = record["windows"][0]
        assert start <= record["offsets"][0] < start + frames


def test_bad_input_is_named(musan: Path) -> None:
    pool = mixing.NoisePool(musan, "test")
    condition = mixing.MixCondition("x", "test", ("noise",), (5.0, 5.0))
    with pytest.raises(DataError, match="u7: silent"):
        mixing.plan("u7", np.zeros(100, np.int16), condition, pool, 0)
    record = mixing.plan("u8", sound(1, 3000), condition, pool, 0)
    with pytest.raises(
        DataError, match="u8: its audio, or that of noise-test-. , has changed".replace(" ,", ",")
    ):
        mixing.render(record, sound(2, 3000), pool)
    write_wav(Path(f"musan/{record['noise'][0]}.wav"), sound(9, 100))
    with pytest.raises(DataError, match="noise-test-"):
        mixing.render(record, sound(1, 3000), pool)
    table = datadir.read_table(musan / "pools.tsv")
    files.write_text(
        musan / "pools.tsv",
        "".join(f"{k}\t{v}\n" for k, v in table.items() if not v.startswith("music")),
    )
    with pytest.raises(DataError, match="no music in the test pool"):
        mixing.NoisePool(musan, "test").segments("music")
    files.write_text(musan / "pools.tsv", "gone\tmusic\ttest\n")
    with pytest.raises(DataError, match=r"gone is in pools.tsv, not in recordings"):
        mixing.NoisePool(musan, "test")
    files.write_text(musan / "pools.tsv", "gone\tmusik\ttest\n")
    with pytest.raises(DataError, match="gone: expected a type and a pool"):
        mixing.NoisePool(musan, "test")


def test_scenarios_of_the_recipe() -> None:
    conditions = mixture_plans.conditions(ROOT / "conf/tests.tsv", (5.0, 35.0), (3, 7))
    assert [*scenarios.read_tests(ROOT / "conf/tests.tsv")] == [
        "clean", "noise_snr15", "noise_snr5", "music_snr15", "music_snr5", "speech_snr15",
        "speech_snr5",
    ]  # fmt: skip
    assert len(conditions) == 8
    assert conditions["music_snr5"] == mixing.MixCondition(
        "music_snr5", "test", ("music",), (5.0, 5.0), (3, 7)
    )
    assert conditions["dev_noisy"].pool == "dev" and conditions["train_noisy"].pool == "train"


@pytest.mark.parametrize("line", ["a music", "a musik 5", "clean music 5", "a - -", "a music x"])
def test_scenario_errors_name_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tests.tsv"
    path.write_text(f"# name\nclean - -\n{line}\n")
    with pytest.raises(DataError, match=r"tests.tsv:3"):
        scenarios.read_tests(path)


def test_damaged_jsonl_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    jsonl.write(path, [{"a": 1}, {"a": 2}])
    assert list(jsonl.read(path)) == [{"a": 1}, {"a": 2}]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"x.jsonl.gz: damaged"):
        list(jsonl.read(path))
