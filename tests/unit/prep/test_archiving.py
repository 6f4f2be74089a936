"""Stages 2, 3 and 5 end to end on generated signals, with the programs that the steps call."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_fixtures import (
    TESTS,
    bin_run,
    make_iemocap,
    make_musan,
    prepare,
    program,
    sound,
    write_wav,
)

from jointasr.data import archive, datadir, manifest
from jointasr.prep import archiving, mixture_plans
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

SCENARIOS = ["clean"] + [
    f"{kind}_snr{db}" for kind in ("noise", "music", "speech") for db in (15, 5)
]
OPTIONS = {
    "mix_noise": ["--nj", "2"],
    "make_folds": ["--seed=0"],
    "make_archives": ["--nj=2", "--folds", "Ses02F"],
}
SETS = [*SCENARIOS, "train_noisy", "dev_noisy"]


def failure(recipe: Path, name: str, *args: str) -> str:
    """Run a program that must fail with a one-line error message; return the message."""
    done = bin_run(recipe, name, *args)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def shell(recipe: Path, script: str, *options: str) -> str:
    """Run a step in the recipe folder as run.sh does; return its standard output."""
    done = subprocess.run(
        [str(ROOT / script), *options, "data"],
        cwd=recipe,
        env={"JOINTASR_VENV": sys.prefix, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        make_iemocap(Path())
        make_musan(Path())
    for step in ("mix_noise", "make_folds", "make_archives"):
        message = shell(path, f"steps/{step}.sh", *OPTIONS[step])
    assert message.endswith("data/folds/speaker: 1 folds; 11 data dirs made, 0 up to date")
    return path


@pytest.fixture(autouse=True)
def _inside(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recipe)


def test_report_of_the_selection() -> None:
    ids = list(datadir.read_table(Path("data/local/selected/text")))
    assert len(ids) == 24 and manifest.validate(Path("data/local/selected")) == []
    report = Path("data/local/selected/report.txt").read_text()
    assert report.startswith("24 of 26 utterances selected")
    assert "excluded, other labels: fru 1" in report
    assert "excluded, no words: 1\n  Ses01F-Ses01M_impro01_F002" in report


@pytest.mark.parametrize("name", SETS)
def test_archived_sets_are_as_planned(name: str) -> None:
    folder = Path("data") / name
    assert manifest.validate(folder) == [] and archiving.verify(folder) == []
    assert sorted(path.name for path in (folder / "archives").iterdir()) == [
        "wav.1.ark",
        "wav.2.ark",
    ]
    planned = {} if name == "clean" else mixture_plans.load(Path("data/local/mix") / name)
    corpus = datadir.read_table(Path("data/local/selected/wav.scp"))
    for cut in manifest.load(folder):
        speech, _ = soundfile.read(corpus[cut.id], dtype="int16")
        samples = np.rint(cut.load_audio()[0] * 32768)
        if not planned:
            np.testing.assert_array_equal(samples, speech)
            continue
        record = planned[cut.id]
        clean = record["scale"] * speech.astype(np.float64)
        measured = 10 * np.log10(np.mean(clean**2) / np.mean((samples - clean) ** 2))
        assert abs(measured - record["snr_requested"]) < 0.1  # after quantisation
        pool = {"train_noisy": "train", "dev_noisy": "dev"}.get(name, "test")
        assert all(noise.split("-")[1] == pool for noise in record["noise"])
        if pool == "test":
            assert name == f"{record['type']}_snr{record['snr_requested']:.0f}"


def test_the_second_run_is_up_to_date() -> None:
    for name in ("mix_noise", "make_archives"):
        assert (
            program(Path(), name, "todo", "data", "--musan", "data/local/musan", "--tests", TESTS)
            == ""
        )


def test_another_seed_is_another_result() -> None:
    common = ["todo", "data", "--musan", "data/local/musan", "--tests", TESTS]
    assert "option seed (was 0, now 1)" in failure(Path(), "mix_noise", *common, "--seed", "1")
    message = failure(Path(), "mix_noise", *common, "--snr", "0,35")
    assert "data/local/mix/train_noisy was made with other settings: option snr" in message


def test_the_number_of_jobs_does_not_matter(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_iemocap(Path())
    make_musan(Path())
    prepare(tmp_path, jobs=1)
    for name in SETS:
        for table in ("digests.tsv", "text", "utt2dur", "spk2utt"):
            path = Path("data") / name / table
            assert path.read_bytes() == (recipe / path).read_bytes()
        if name != "clean":
            path = Path("data/local/mix") / name / "mixtures.jsonl.gz"
            assert gzip.decompress(path.read_bytes()) == gzip.decompress(
                (recipe / path).read_bytes()
            )


def test_fold_dirs_one_by_one() -> None:
    args = ("data", "--tests", TESTS)
    assert "fold Ses09F does not exist" in failure(
        Path(), "make_fold_dirs", *args, "--folds", "Ses09F"
    )
    program(Path(), "make_fold_dirs", *args, "--folds", "Ses01F")
    home = Path("data/folds/speaker")
    assert not (home / "Ses02M/train_clean").exists()
    stamp = (home / "Ses01F/train_clean/cuts.jsonl.gz").stat().st_mtime_ns
    program(Path(), "make_fold_dirs", *args, "--folds", "Ses02M Ses01F")
    assert (home / "Ses01F/train_clean/cuts.jsonl.gz").stat().st_mtime_ns == stamp
    for fold in ("Ses01F", "Ses02M"):
        names = {path.name for path in (home / fold).iterdir() if path.is_dir()}
        expected = {f"test_{name}" for name in SCENARIOS}
        assert names == expected | {
            f"{s}_{c}" for s in ("train", "dev") for c in ("clean", "noisy")
        }
        for name in names:
            assert manifest.validate(home / fold / name) == []
            split = name.split("_")[0]
            ids = datadir.read_list(home / fold / f"{split}.list")
            assert list(datadir.read_table(home / fold / name / "wav.scp")) == ids
        source = next(iter(datadir.read_table(home / fold / "dev_noisy/wav.scp").values()))
        assert source.startswith("data/dev_noisy/archives/")


def test_changed_speech_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_iemocap(Path(), sessions=1)
    make_musan(Path())
    prepare(tmp_path, jobs=1)
    utterance, path = next(iter(datadir.read_table(Path("data/local/selected/wav.scp")).items()))
    frames = soundfile.info(path).frames
    write_wav(Path(path), sound(99, frames))
    common = ["data", "--musan", "data/local/musan", "--tests", TESTS, "--sets", "music_snr5"]
    message = failure(tmp_path, "make_archives", "write", *common)
    assert message.startswith(f"error: {utterance}: its audio, or that of music-test-")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p, w: write_wav(p, np.stack([w, w], 1)), "2 channels; expected mono"),
        (lambda p, w: write_wav(p, w, 44100), "44100 Hz; expected 16000 Hz"),
        (lambda p, w: write_wav(p, w[:0]), "no samples"),
        (lambda p, w: write_wav(p, 0 * w), "silent, all samples are 0"),
        (lambda p, w: p.unlink(), "no such audio file"),
        (lambda p, w: p.write_bytes(b"RIFF"), "not readable as audio"),
    ],
)
def test_bad_audio_is_named(
    tmp_path: Path, damage: Callable[[Path, np.ndarray], None], message: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        make_iemocap(Path(), sessions=1)
        make_musan(Path())
    program(tmp_path, "select_turns", "data/local/corpus", "data/local/selected")
    table = datadir.read_table(tmp_path / "data/local/selected/wav.scp")
    utterance = sorted(table)[3]
    path = tmp_path / table[utterance]
    damage(path, sound(1, 5000))
    common = ["data", "--musan", "data/local/musan", "--tests", TESTS, "--sets", "music_snr5"]
    error = failure(tmp_path, "mix_noise", "plan", *common)
    assert utterance in error and message in error


def test_verify_detects_a_flipped_bit() -> None:
    folder = Path("data/music_snr5")
    utterance, source = next(iter(datadir.read_table(folder / "wav.scp").items()))
    ark, _, offset = source.rpartition(":")
    data = Path(ark).read_bytes()
    position = int(offset) + 1000
    Path(ark).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
    assert [line.split(":")[0] for line in archiving.verify(folder)] == [utterance]
    args = ["verify", "data", "--musan", "data/local/musan", "--tests", TESTS]
    assert utterance in failure(Path(), "make_archives", *args)
    program(Path(), "make_archives", *args, "--sets", "clean dev_noisy")
    Path(ark).write_bytes(data)
    assert archiving.verify(folder) == []


def test_unknown_names_are_errors() -> None:
    common = ["data", "--musan", "data/local/musan", "--tests", TESTS]
    assert "jazz: no such set in" in failure(
        Path(), "make_archives", "todo", *common, "--sets", "jazz"
    )
    assert "jazz is not one of" in failure(Path(), "mix_noise", "todo", *common, "--sets", "jazz")
    message = failure(Path(), "select_turns", "data/local/corpus", "x", "--emotions", "ang,joy")
    assert "no utterance is labelled joy" in message and not Path("x").exists()


PROGRAMS = ["mix_noise", "make_archives", "make_fold_dirs", "make_folds", "select_turns"]


@pytest.mark.parametrize("name", [*PROGRAMS, "make_conv_feats"])
def test_help_imports_no_torch(name: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["x", "--help"]
try:
    runpy.run_module("jointasr.bin.{name}", run_name="__main__")
except SystemExit:
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True)


def test_conv_features(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from jointasr.models import encoder

    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=[8, 8], conv_kernel=[400, 3], conv_stride=[160, 2], num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, feat_extract_norm="layer", do_stable_layer_norm=True,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"do_normalize": True, "sampling_rate": 16000})
    )
    common = ["data", "--tests", TESTS, "--model", str(tmp_path), "--jobs", "2"]
    common += ["--sets", "music_snr5"]
    digest, *todo = program(Path(), "make_conv_feats", "todo", *common).split()
    assert todo == ["music_snr5"] and len(digest) == 8
    for job in "12":
        program(Path(), "make_conv_feats", "write", *common, "--job", job)
    program(Path(), "make_conv_feats", "combine", *common, "--digest", digest)
    assert program(Path(), "make_conv_feats", "todo", *common) == digest
    feats = datadir.read_table(Path(f"data/music_snr5/conv_{digest}/feats.scp"))
    audio = datadir.read_table(Path("data/music_snr5/wav.scp"))
    assert list(feats) == list(audio)
    extractor = encoder.load(str(tmp_path)).eval()
    for utterance in feats:
        wave = archive.read_wav(audio[utterance]).astype(np.float32) / 32768
        expected = extractor.conv_features([wave])[0]
        back = archive.read_feats(feats[utterance])
        assert np.abs(back - expected).max() <= 1.01 * np.ptp(expected) / 65535 + 1e-6


@pytest.mark.parametrize("name", ["mix_noise", "make_archives"])
def test_an_edited_wav_scp_is_an_error_before_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_iemocap(Path(), sessions=1)
    make_musan(Path())
    program(tmp_path, "select_turns", "data/local/corpus", "data/local/selected")
    if name == "make_archives":
        for folder in (Path("data/local/mix") / noisy for noisy in SETS[1:]):
            folder.mkdir(parents=True)
            (folder / mixture_plans.FILE).write_bytes(b"")
            (folder / ".done").write_text("{}")
    common = ["todo", "data", "--musan", "data/local/musan", "--tests", TESTS]
    assert program(tmp_path, name, *common)
    table = Path("data/local/selected/wav.scp")
    utterance, source = next(iter(datadir.read_table(table).items()))
    table.write_text(table.read_text().replace(source, "other.wav"))
    message = failure(tmp_path, name, *common)
    assert f"wav.scp: {utterance}: 'other.wav', but '{source}' in cuts.jsonl.gz" in message


def test_a_pool_without_music_is_an_error_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_iemocap(Path(), sessions=1)
    make_musan(Path())
    program(tmp_path, "select_turns", "data/local/corpus", "data/local/selected")
    pools = Path("data/local/musan/pools.tsv")
    lines = pools.read_text().splitlines(keepends=True)
    pools.write_text("".join(line for line in lines if "music\tdev" not in line))
    common = ["todo", "data", "--musan", "data/local/musan", "--tests", TESTS]
    message = failure(tmp_path, "mix_noise", *common)
    assert message == "error: data/local/musan/pools.tsv: no music in the dev pool"
    many = failure(
        tmp_path, "mix_noise", *common, "--babble-talkers", "3,7", "--sets", "speech_snr5"
    )
    assert "speech of 7 talkers needs as many files in the test pool" in many
