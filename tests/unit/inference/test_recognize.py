"""Recognition of a user's audio: the same result alone, in a batch, as a cut and in a data dir;
resuming, errors, output formats, and packed models."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import fake_hub
import jsonschema
import numpy as np
import pytest
import soundfile
import soxr
import tiny
import torch
from data_fixtures import RATE

import jointasr
from jointasr.bin import recognize
from jointasr.data import audio, datadir, manifest
from jointasr.inference import formats, inputs, packing, transcriber
from jointasr.inference.recognizer import RecognizedTurn, RecognizedWord, Recognizer, shift_turn
from jointasr.text.lang import Units
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

CHARACTERS = Units.char().symbols
CPU = torch.device("cpu")
TEST = "data/folds/speaker/Ses01F/test_clean"


@pytest.fixture(scope="module")
def model(packed_recipe: Path) -> Recognizer:
    return jointasr.load(str(packed_recipe / "model"), "cpu")


@pytest.fixture(autouse=True)
def here(packed_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(packed_recipe)


def waves(packed_recipe: Path) -> dict[str, np.ndarray]:
    cuts = manifest.load(packed_recipe / TEST)
    return {cut.id: cut.load_audio()[0] for cut in cuts}


def assert_equal(one: list[RecognizedTurn], other: list[RecognizedTurn]) -> None:
    """Equal except for rounding."""
    assert [turn.text for turn in one] == [turn.text for turn in other]
    assert [turn.emotion for turn in one] == [turn.emotion for turn in other]
    for a, b in zip(one, other, strict=True):
        assert a.posteriors == pytest.approx(b.posteriors, abs=1e-3)
        assert (a.begin, a.end) == pytest.approx((b.begin, b.end), abs=2e-3)
        for x, y in zip(a.words, b.words, strict=True):
            assert (x.begin, x.end) == pytest.approx((y.begin, y.end), abs=0.011)


def run_recognize(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["recognize", "--model", "model", *options])
    recognize.main()


def read_output(capsys: pytest.CaptureFixture[str]) -> list[formats.Recognition]:
    lines = capsys.readouterr().out.splitlines()
    return [formats.from_json(line, "stdout") for line in lines]


@pytest.mark.usefixtures("oracle_model")
def test_recognizes_words_and_emotions(packed_recipe: Path, model: Recognizer) -> None:
    texts = datadir.read_table(packed_recipe / TEST / "text")
    emotions = datadir.read_table(packed_recipe / TEST / "utt2emo")
    for name, wave in waves(packed_recipe).items():
        (turn,) = model.recognize(wave, RATE)
        assert (turn.text, turn.emotion) == (texts[name], emotions[name])
        assert turn.confidence is not None and turn.confidence > 0.9
        assert sum(turn.posteriors.values()) == pytest.approx(1)
        assert (turn.begin, turn.end) == (0, pytest.approx(len(wave) / RATE))
        assert [word.text for word in turn.words] == turn.text.split()
        assert all(word.confidence > 0.9 for word in turn.words)


@pytest.mark.usefixtures("oracle_model")
def test_word_times_are_those_of_the_tones(model: Recognizer) -> None:
    wave = tiny.tones("GOOD ROAD", "neu", 7).astype(np.float32) / 32768
    (turn,) = model.recognize(wave, RATE)
    assert turn.text == "GOOD ROAD"
    letter, gap = tiny.LETTER, tiny.PAUSE // 2
    word = 4 * letter + 3 * gap
    begin = tiny.PAUSE
    for recognized in turn.words:
        expected = begin / RATE, (begin + word) / RATE
        assert (recognized.begin, recognized.end) == pytest.approx(expected, abs=0.03)
        begin += word + gap + 2 * tiny.PAUSE


@pytest.mark.usefixtures("oracle_model")
def test_other_rates(model: Recognizer, tmp_path: Path) -> None:
    """Files of any rate and type have the same result; the tones are below 4 kHz."""
    wave = tiny.tones("GOOD ROAD", "sad", 7).astype(np.float32) / 32768
    (before,) = model.recognize(wave, RATE)
    assert before.text == "GOOD ROAD"
    kinds = [("wav", "PCM_U8"), ("wav", "PCM_24"), ("wav", "PCM_32"), ("wav", "FLOAT")]
    kinds += [("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")]
    for ending, subtype in kinds:
        for rate in (8000, 11025, 22050, 44100, 48000):
            other = soxr.resample(wave, RATE, rate)
            path = tmp_path / f"{rate}{subtype}.{ending}"
            soundfile.write(path, np.stack([other, other], 1), rate, subtype=subtype)
            (turn,) = model.recognize(audio.read(path, "x"), RATE)
            assert (turn.text, turn.emotion) == ("GOOD ROAD", "sad"), path
            for one, two in zip(turn.words, before.words, strict=True):
                assert one.begin == pytest.approx(two.begin, abs=0.09), path  # mp3's delay


def test_alone_batched_as_cut_and_as_data_dir(
    packed_recipe: Path,
    model: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waves_by_id = waves(packed_recipe)
    for name, wave in waves_by_id.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE, subtype="PCM_16")
    alone = {name: model.recognize(wave, RATE) for name, wave in waves_by_id.items()}
    arguments = {
        "folder": [str(tmp_path)],
        "pattern": [str(tmp_path / "*.wav")],
        "data dir": [TEST],
        "cuts": [f"{TEST}/cuts.jsonl.gz"],
    }
    for kind, given in arguments.items():
        run_recognize(monkeypatch, "--format", "jsonl", *given)
        found = {Path(each.id).stem: each.turns for each in read_output(capsys)}
        assert found.keys() == alone.keys(), kind
        for name in alone:
            assert_equal(found[name], alone[name])


def test_data_dir_with_segments(
    packed_recipe: Path,
    model: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (first, one), (second, two) = list(waves(packed_recipe).items())[:2]
    soundfile.write(tmp_path / "all.wav", np.concatenate([one, two]), RATE, subtype="PCM_16")
    (tmp_path / "wav.scp").write_text(f"all {tmp_path}/all.wav\n")
    edge, end = len(one) / RATE, (len(one) + len(two)) / RATE
    (tmp_path / "segments").write_text(f"{first} all 0 {edge}\n{second} all {edge} {end}\n")
    run_recognize(monkeypatch, "--format", "jsonl", str(tmp_path))
    found = {each.id: each.turns for each in read_output(capsys)}
    for name, wave in ((first, one), (second, two)):
        assert_equal(found[name], model.recognize(wave, RATE))
    (tmp_path / "segments").write_text(f"{first} all 0 many\n")
    with pytest.raises(DataError, match=f"segments: {first}: expected recording, begin, end"):
        run_recognize(monkeypatch, str(tmp_path))
    (tmp_path / "segments").write_text(f"{first} other 0 1\n")
    with pytest.raises(DataError, match=r"no recording other in wav\.scp"):
        run_recognize(monkeypatch, str(tmp_path))


def test_long_audio_is_its_windows(packed_recipe: Path, model: Recognizer) -> None:
    long = np.concatenate(list(waves(packed_recipe).values()))
    turns = model.recognize(long, RATE, mode="windows", max_seconds=1.0)
    assert turns[-1].end == pytest.approx(len(long) / RATE) and len(turns) == 4
    for turn in turns:
        part = long[round(turn.begin * RATE) : round(turn.end * RATE)]
        (alone,) = model.recognize(part, RATE)
        assert_equal([turn], [shift_turn(alone, turn.begin)])


def test_channels(
    packed_recipe: Path,
    model: Recognizer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = list(waves(packed_recipe).values())[:2]
    length = max(len(one), len(two))
    call = np.stack([np.pad(wave, (0, length - len(wave))) for wave in (one, two)], 1)
    soundfile.write(tmp_path / "call.wav", call, RATE, subtype="PCM_16")
    options = ["--format", "jsonl", str(tmp_path / "call.wav")]
    run_recognize(monkeypatch, "--channels", "each", *options)
    found = read_output(capsys)
    assert [each.channel for each in found] == [0, 1]
    for column, each in enumerate(found):
        assert_equal(each.turns, model.recognize(call[:, column], RATE))
    run_recognize(monkeypatch, *options)
    (mixed,) = read_output(capsys)
    assert mixed.channel is None
    assert_equal(mixed.turns, model.recognize(call, RATE))


def test_every_format(
    packed_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_recognize(monkeypatch, "--format", "jsonl", TEST)
    lines = capsys.readouterr().out.splitlines()
    schema = json.loads((ROOT / "docs/recognition.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for line in lines:
        jsonschema.validate(json.loads(line), schema)
        assert formats.to_json(formats.from_json(line, "")) == line
    found = [json.loads(line) for line in lines]
    run_recognize(monkeypatch, "--out", str(tmp_path / "out"), TEST)
    assert (tmp_path / "out/results.jsonl").read_text().splitlines() == lines
    ctm = [line.split() for line in (tmp_path / "out/words.ctm").read_text().splitlines()]
    words = [(one["id"], word) for one in found for turn in one["turns"] for word in turn["words"]]
    assert [(row[0], row[4]) for row in ctm] == [(name, word["word"]) for name, word in words]
    for row, (_, word) in zip(ctm, words, strict=True):
        assert float(row[2]) == word["begin"] and len(row) == 6
        assert float(row[2]) + float(row[3]) == pytest.approx(word["end"], abs=1e-3)
    rttm = [line.split() for line in (tmp_path / "out/emotions.rttm").read_text().splitlines()]
    assert [row[7] for row in rttm] == [t["emotion"] for one in found for t in one["turns"]]
    assert all(len(row) == 10 and row[0] == "SPEAKER" for row in rttm)
    tsv = [line.split("\t") for line in (tmp_path / "out/turns.tsv").read_text().splitlines()]
    assert tsv[0] == formats.TSV_HEADER.split("\t") and {len(row) for row in tsv} == {7}
    assert [row[6] for row in tsv[1:]] == [t["text"] for one in found for t in one["turns"]]
    text = (tmp_path / "out/text.txt").read_text()
    assert all(one["source"] in text for one in found)


def test_low_confidence_and_no_speech() -> None:
    turn = RecognizedTurn(0, 61.26, "", [], None, 0.25, {"ang": 0.3, "sad": 0.7})
    found = formats.Recognition("a b", "x/a b.wav", 1, 3601.5, [turn])
    assert list(formats.rttm(found)) == [
        "SPEAKER a_b 2 0.000 61.260 <NA> <NA> not_sure 0.2500 <NA>"
    ]
    assert list(formats.text(found)) == [
        "x/a b.wav, channel 2 (1:00:01.5)",
        "  0:00.0 - 1:01.3  (no words)  [not sure: sad 70% ang 30%]",
    ]
    words = [RecognizedWord("HI", 1.0, 1.5, 0.9)]
    words_only = found._replace(
        turns=[RecognizedTurn(1, 2, "HI", words, None, None, {})], channel=None
    )
    assert list(formats.rttm(words_only)) == []
    assert list(formats.tsv(words_only)) == ["a b\t1\t1.000\t2.000\t\t\tHI"]
    assert list(formats.ctm(words_only)) == ["a_b 1 1.000 0.500 HI 0.9000"]
    assert list(formats.text(found._replace(turns=[])))[1] == "  (no speech)"


def test_a_folder_of_results_is_resumed(
    packed_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    run_recognize(monkeypatch, "--out", str(out), TEST)
    whole = (out / "results.jsonl").read_text()
    lines = whole.splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(lines[:2]) + lines[2][:20])  # killed in the third
    (out / "words.ctm").unlink()
    recognized = []
    original = Recognizer.recognize_batch
    monkeypatch.setattr(
        Recognizer,
        "recognize_batch",
        lambda self, waves: recognized.extend(waves) or original(self, waves),
    )
    capsys.readouterr()
    run_recognize(monkeypatch, "--out", str(out), TEST)
    assert f"{len(lines)} of {len(lines)} recognised, 2 of them earlier" in capsys.readouterr().err
    assert len(recognized) == len(lines) - 2
    after = (out / "results.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["id"] for line in after) == sorted(
        json.loads(line)["id"] for line in lines
    )
    assert (out / "words.ctm").read_text()
    with pytest.raises(DataError, match="another model or other options"):
        run_recognize(monkeypatch, "--out", str(out), "--turns", "windows", TEST)
    with (out / "results.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(DataError, match=rf"results.jsonl:{len(lines) + 1}: not a recognition"):
        run_recognize(monkeypatch, "--out", str(out), TEST)


def test_results_of_another_model_are_refused(
    packed_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a model is the same model; one with other calibrations is not."""
    run_recognize(monkeypatch, "--out", str(tmp_path / "out"), TEST)
    copy = shutil.copytree(packed_recipe / "model", tmp_path / "copy")
    run_recognize(monkeypatch, "--out", str(tmp_path / "out"), "--model", str(copy), TEST)
    calibration = {"slope": 2.0, "offset": 0.0}
    files.write_json(copy / "certainty.json", {"words": calibration, "emotion": calibration})
    with pytest.raises(DataError, match="another model or other options"):
        run_recognize(monkeypatch, "--out", str(tmp_path / "out"), "--model", str(copy), TEST)


def test_unreadable_files_are_named_and_counted(
    packed_recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wave = next(iter(waves(packed_recipe).values()))
    soundfile.write(tmp_path / "b.flac", wave, RATE)
    (tmp_path / "a.wav").write_text("not audio")
    (tmp_path / "c.wav").touch()
    (tmp_path / "._b.wav").write_text("metadata")
    with pytest.raises(DataError, match=r"2 of 3 could not be read: .*/a\.wav, .*/c\.wav"):
        run_recognize(monkeypatch, "--format", "jsonl", str(tmp_path))
    captured = capsys.readouterr()
    assert [Path(json.loads(line)["id"]).name for line in captured.out.splitlines()] == ["b.flac"]
    assert "a.wav: not readable as audio" in captured.err
    for given, message in (
        (["none.wav"], "none.wav: no such file or folder, and no file matches"),
        ([str(tmp_path / "b.flac"), "--device", "cuda:7"], "device cuda:7"),
        ([str(tmp_path / "b.flac"), "--model", "nowhere"], "model nowhere: neither a complete"),
    ):
        with pytest.raises(DataError, match=message):
            run_recognize(monkeypatch, *given)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no audio files in this folder"):
        inputs.find_inputs([str(tmp_path / "empty")], False)
    (tmp_path / "wav.scp").write_text("u1 sox a.wav -t wav - |\n")
    with pytest.raises(DataError, match="pipes are not executed"):
        inputs.find_inputs([str(tmp_path)], False)
    cut = json.dumps({"id": "c", "start": 0, "duration": 1, "channel": 0, "recording": {
        "id": "r", "sampling_rate": 8000, "num_samples": 8000, "duration": 1,
        "sources": [{"type": "command", "channels": [0], "source": "touch x"}],
    }})  # fmt: skip
    (tmp_path / "cuts.jsonl").write_text(cut + "\n")
    with pytest.raises(DataError, match="its audio is a command; only files are read"):
        inputs.find_inputs([str(tmp_path / "cuts.jsonl")], False)
    other = manifest.load(packed_recipe / TEST)
    clash = tmp_path / "clash"
    clash.mkdir()
    name = next(iter(other)).id
    (clash / "wav.scp").write_text(f"{name} {tmp_path}/b.flac\n")
    with pytest.raises(DataError, match=f"the id {name} occurs twice"):
        inputs.find_inputs([TEST, str(clash)], False)


def test_standard_input_and_exit_code(packed_recipe: Path, tmp_path: Path) -> None:
    name, wave = next(iter(waves(packed_recipe).items()))
    soundfile.write(tmp_path / f"{name}.wav", wave, RATE)
    command = [
        sys.executable,
        "-m",
        "jointasr",
        "recognize",
        "--model",
        str(packed_recipe / "model"),
    ]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    data = (tmp_path / f"{name}.wav").read_bytes()
    done = subprocess.run([*command, "-"], input=data, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith("stdin (0:0")
    done = subprocess.run([*command, "-"], input=b"junk", env=env, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "error: 1 of 1 could not be read: stdin"


@pytest.mark.parametrize("seconds", [0.0001, 0.05, 3.0])
def test_very_short_audio_and_silence(model: Recognizer, seconds: float) -> None:
    (turn,) = model.recognize(np.zeros(max(1, round(seconds * RATE))), RATE)
    assert turn.end == pytest.approx(seconds, abs=1e-4)
    assert sum(turn.posteriors.values()) == pytest.approx(1)
    assert model.recognize(np.zeros(2 * RATE), RATE, mode="voice") == []


def test_results_are_written_as_soon_as_a_buffer_is_full(
    packed_recipe: Path, model: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more audio is read than the buffer holds."""
    monkeypatch.setattr(transcriber, "BUFFERED_SECONDS", 0.1)
    audio_inputs = inputs.find_inputs([TEST], False)
    read = []
    watched = [
        each._replace(read=lambda each=each: read.append(each.id) or each.read())
        for each in audio_inputs
    ]
    transcribe = transcriber.Transcriber(model, transcriber.Segmentation())
    assert next(transcribe(watched)).id == audio_inputs[0].id
    assert len(read) == 1


def test_packed_model(packed_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has everything needed: it works elsewhere, without the recipe."""
    card = (packed_recipe / "model/README.md").read_text()
    assert 'jointasr.load("model")' in card and "Emotions: ang, hap, neu, sad" in card
    assert "had not been scored when it was packed" in card and "dev utterances:" in card
    assert "\n\n\n" not in card and "| |" not in card
    wave = next(iter(waves(packed_recipe).values()))
    before = jointasr.load("model", "cpu").recognize(wave, RATE)
    monkeypatch.chdir(tmp_path)
    (packed_recipe / "model").rename(tmp_path / "moved")
    try:
        assert_equal(jointasr.load(str(tmp_path / "moved"), "cpu").recognize(wave, RATE), before)
    finally:
        (tmp_path / "moved").rename(packed_recipe / "model")
    certainty = json.loads((packed_recipe / "model/certainty.json").read_text())
    assert certainty.keys() == {"words", "emotion"}
    monkeypatch.chdir(packed_recipe)
    out = Path("exp/joint_clean/fold_Ses01F")
    with pytest.raises(DataError, match="model exists already"):
        packing.pack(out, Path("model"), "default", CPU)
    with pytest.raises(DataError, match="decode first"):
        packing.pack(out, tmp_path / "hlg", "beam", CPU)
    assert list(tmp_path.iterdir()) == []


def test_hub(packed_recipe: Path, tmp_path: Path) -> None:
    """Upload to a private repository, and load by id on a machine without the model."""
    env = {**os.environ, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "home")}
    env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, str(ROOT / "tests/support/hub_user.py")]

    def used() -> list[str]:
        done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    with fake_hub.serving() as hub:
        env["HF_ENDPOINT"] = hub.address
        pushed, *loaded, other = used()
        assert pushed.startswith(f"{hub.address}/me/model")
        assert hub.private == {"me/model": True} and "Bearer hf_secret" in hub.tokens
        inside = [path for path in Path("model").rglob("*") if path.is_file()]
        files = {str(path.relative_to("model")): path.read_bytes() for path in inside}
        assert hub.repos["me/model"] == files
        assert len(loaded) == 2 and loaded[0] == loaded[1]
        assert "neither a complete model folder nor available" in other
    pushed, _, _, other = used()  # the hub is gone; the cache remains
    assert "the upload failed" in pushed and "nor available from the hub" in other


def test_card_has_the_results(packed_recipe: Path, tmp_path: Path) -> None:
    out = Path("exp/joint_clean/fold_Ses01F")
    cells = [
        {"system": "joint", "train": "clean", "test": "clean", "method": "default",
         "folds": ["Ses01F"], "wer": {"value": 12.345}, "acc": {"wa": 61.0, "ua": None}},
        {"system": "asr", "train": "clean", "test": "clean", "method": "default",
         "folds": ["Ses01F"], "wer": {"value": 99.0}, "acc": None},
    ]  # fmt: skip
    Path("exp/results.json").write_text(json.dumps(cells))
    try:
        packing.pack(out, tmp_path / "scored", "default", CPU)
    finally:
        Path("exp/results.json").unlink()
    card = (tmp_path / "scored/README.md").read_text()
    assert "| test | WER | weighted accuracy | unweighted accuracy |" in card
    assert "|---|---|---|---|\n| clean | 12.3 | 61.0 | - |\n" in card and "99.0" not in card


@pytest.mark.slow
def test_an_hour(packed_recipe: Path, tmp_path: Path) -> None:
    """In windows, with a tiny model: an hour needs at most twice its samples more."""
    minute = np.concatenate([*waves(packed_recipe).values()] * 20)[: 60 * RATE]
    memory = {}
    for minutes in (1, 60):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(minute)
        code = "import resource, sys\nfrom jointasr.bin.recognize import main\nmain()\n"
        code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        command = [sys.executable, "-c", code, "--model", str(packed_recipe / "model")]
        command += ["--turns", "windows", "--max-turn", "30", "--format", "jsonl", str(path)]
        env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["duration"] == 60 * minutes and len(found["turns"]) == 2 * minutes
        memory[minutes] = int(done.stderr.splitlines()[-1]) * 1024
    samples = 4 * 3600 * RATE
    assert memory[60] - memory[1] < 2 * samples, memory
