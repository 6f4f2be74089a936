"""The synthetic corpora: repeatable, learnable but not trivial, as irregular as real ones."""

import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from jointasr.data import datadir, manifest
from jointasr.text.normalizer import normalise
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT
from local import make_mini, prepare_iemocap, prepare_musan, prepare_pretrain
from local.iemocap import counts, turns
from local.mini import plan, sentences, sounds, voices

COUNTS = ROOT / "egs" / "mini" / "conf" / "counts.tsv"
FOUR = ("ang", "hap", "neu", "sad")
SCALE = "0.03"


def run(monkeypatch: pytest.MonkeyPatch, main: object, *arguments: object) -> None:
    assert callable(main)
    monkeypatch.setattr(sys, "argv", ["x", *map(str, arguments)])
    main()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All corpora at a small scale."""
    pytest.importorskip("espeakng_loader")
    out = tmp_path_factory.mktemp("mini") / "corpora"
    make_mini.make(out, seed=0, scale=float(SCALE), jobs=2)
    return out


@pytest.fixture(scope="module")
def turns_of_all() -> list[plan.PlannedTurn]:
    return plan.plan(0)


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_two_generations_are_equal(corpora: Path, tmp_path: Path) -> None:
    make_mini.make(tmp_path / "again", seed=0, scale=float(SCALE), jobs=1)
    first, second = contents(corpora), contents(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_share_above_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="--scale 2"):
        run(monkeypatch, make_mini.main, "--scale", "2", tmp_path)


def test_the_recipe_reads_the_corpora(
    corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(corpora)
    own, out = tmp_path / "counts.tsv", tmp_path / "iemocap"
    run(monkeypatch, prepare_iemocap.main, "--counts", own, "--write-counts",
        corpora / "iemocap", out)  # fmt: skip
    run(monkeypatch, prepare_iemocap.main, "--counts", own, corpora / "iemocap", out)
    run(monkeypatch, prepare_musan.main, corpora / "musan", tmp_path / "musan")
    run(monkeypatch, prepare_pretrain.main, corpora / "pretrain", tmp_path / "pretrain")
    assert contents(corpora) == before
    for data in (out, tmp_path / "pretrain" / "train_noisy", tmp_path / "pretrain" / "dev_noisy"):
        assert manifest.validate(data) == []
    spoken = {turn.id: normalise(turn.text) for turn in plan.plan(0, float(SCALE))}
    text = datadir.read_table(out / "text")
    assert {name.split("-", 1)[1]: words for name, words in text.items()} == spoken
    report = (out / "report.txt").read_text()
    for kind in ("XX lines", "bare lines", "AppleDouble", ".anvil", "single annotators"):
        line = next(line for line in report.splitlines() if kind in line)
        assert not line.endswith(": 0"), line


def test_the_full_size_has_the_counts_of_the_recipe(turns_of_all: list[plan.PlannedTurn]) -> None:
    found = counts.count(
        [
            turns.IemocapTurn(turn.id, turn.dialogue, turn.label, normalise(turn.raw), Path())
            for turn in turns_of_all
        ]
    )
    wanted = counts.read(COUNTS)
    assert counts.differences(found, wanted) == [] and found.keys() == wanted.keys()
    assert wanted["speech", "turns"] == 1000 and wanted["emotions", "turns"] > 1000
    assert all(90 <= wanted["speech", speaker] <= 110 for speaker in voices.ACTORS)
    assert all(wanted["emotions", f"label:{label}"] > 0 for label in ("hap", "exc"))


def test_transcripts_normalise_to_what_is_spoken(turns_of_all: list[plan.PlannedTurn]) -> None:
    assert all(normalise(turn.raw) == normalise(turn.text) for turn in turns_of_all)
    vocabulary = set(sentences.vocabulary())
    assert 100 <= len(vocabulary) <= 130
    assert {w for turn in turns_of_all for w in turn.text.replace(",", "").split()} <= vocabulary
    raw = "".join(turn.raw for turn in turns_of_all)
    marks = ("\u2019", "\u201c", "\u2026", "\u00a0", '"', " -- ", "...", "?", "!", "[LAUGHTER]")
    assert all(mark in raw for mark in marks)


def test_dialogues_hold_both_speakers_and_every_suffix(
    turns_of_all: list[plan.PlannedTurn],
) -> None:
    speakers = defaultdict(set)
    for turn in turns_of_all:
        assert turns.UTTERANCE.fullmatch(turn.id)
        speakers[turn.dialogue].add(turn.speaker)
    for dialogue, own in speakers.items():
        assert own == {f"{dialogue[:5]}F", f"{dialogue[:5]}M"}
    suffixed = {name for name in speakers if name[-1] in "ab"}
    assert suffixed == {f"Ses03M_impro{n}" for n in ("05a", "05b", "08a", "08b")} | {
        "Ses05M_script01_1b"
    }


def test_some_sentences_are_shared_between_speakers(turns_of_all: list[plan.PlannedTurn]) -> None:
    spoken = defaultdict(set)
    for turn in turns_of_all:
        if turn.text and turn.emotion in FOUR:
            spoken[turn.text].add(turn.speaker)
    chosen = [turn for turn in turns_of_all if turn.text in spoken]
    shared = np.mean([len(spoken[turn.text]) > 1 for turn in chosen])
    assert 0.1 < shared < 0.4  # IEMOCAP: 0.22


def test_neither_voice_nor_words_alone_determine_the_emotion(
    turns_of_all: list[plan.PlannedTurn],
) -> None:
    """Leave-one-speaker-out logistic regression on the true parameters; chance is about 29 %."""
    linear = pytest.importorskip("sklearn.linear_model")
    chosen = [turn for turn in turns_of_all if turn.text and turn.emotion in FOUR]
    index = {word: i for i, word in enumerate(sentences.vocabulary())}
    sound = np.array([turn.style for turn in chosen])
    words = np.zeros((len(chosen), len(index)))
    for row, turn in zip(words, chosen, strict=True):
        row[[index[word] for word in turn.text.replace(",", "").split()]] = 1
    emotion = np.array([turn.emotion for turn in chosen])
    speaker = np.array([turn.speaker for turn in chosen])

    def accuracy(features: np.ndarray) -> float:
        correct = 0
        for name in sorted(set(speaker)):
            test = speaker == name
            model = linear.LogisticRegression(C=0.3, max_iter=300)
            model.fit(features[~test], emotion[~test])
            correct += int((model.predict(features[test]) == emotion[test]).sum())
        return correct / len(chosen)

    by_sound, by_words = accuracy(sound), accuracy(words)
    both = accuracy(np.hstack([sound, words]))
    assert 0.62 < by_sound < 0.76
    assert 0.54 < by_words < 0.68
    assert 0.74 < both < 0.87 and both > max(by_sound, by_words) + 0.06


def test_voices_are_distinct_and_repeatable() -> None:
    loader = pytest.importorskip("espeakng_loader")
    casts = ({v.name for v in voices.ACTORS.values()}, {v.name for v in voices.READERS},
             {v.name for v in voices.TALKERS})  # fmt: skip
    assert not casts[0] & casts[1] and not casts[0] & casts[2] and not casts[1] & casts[2]
    assert len({*voices.ACTORS.values(), *voices.READERS, *voices.TALKERS}) == 10 + 28 + 30
    for name in set().union(*casts):
        voices.check_variant(Path(loader.get_data_path()), name)
    for name in ("en-us+f2", "en-us+missing"):  # with breath; missing
        with pytest.raises(AssertionError):
            voices.check_variant(Path(loader.get_data_path()), name)


@pytest.mark.parametrize("number", range(len(sounds.NOISES)))
def test_noises_have_their_length_and_level(number: int) -> None:
    for n in (5000, 70001):
        x = sounds.NOISES[number](np.random.default_rng(number), n)
        assert len(x) == n and np.isfinite(x).all() and np.abs(x).max() <= 1
        assert 0.01 < np.sqrt(np.mean(x**2)) <= 0.101


def test_music_has_its_length() -> None:
    x = sounds.music(np.random.default_rng(0), 40000)
    assert len(x) == 40000 and np.isfinite(x).all() and np.abs(x).max() <= 1


def test_a_killed_process_is_an_error() -> None:
    kill = (os.kill, (os.getpid(), 0))
    assert make_mini.run_tasks([kill, (len, ("abc",))], 2) == [None, 3]
    with pytest.raises(DataError, match=r"process 2 of 2 failed or was killed .*run the same"):
        make_mini.run_tasks([(time.sleep, (30,)), (os._exit, (9,))], 2)
