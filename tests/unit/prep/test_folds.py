"""Properties of folds of random corpora and of IEMOCAP's layout; counts by brute force."""

import json
from pathlib import Path

import pytest
from data_fixtures import bin_run, make_iemocap
from hypothesis import given, settings
from hypothesis import strategies as st

from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.prep.folds import FoldUtterance
from jointasr.utils.errors import DataError


def corpus(sizes: list[int], turns: int, words: int = 5) -> list[FoldUtterance]:
    """Sessions of two speakers: ``sizes[k]`` dialogues in session k + 1, ``turns`` per speaker."""
    utterances = []
    for session, size in enumerate(sizes, 1):
        for number in range(size):
            style = "scripted" if number % 2 else "improvised"
            dialogue = f"Ses0{session}{'FM'[number % 2]}_{style[:6]}0{number}"
            for gender in "FM":
                for turn in range(turns):
                    speaker = f"Ses0{session}{gender}"
                    utterances.append(
                        FoldUtterance(
                            f"{speaker}-{dialogue}_{gender}{turn:03d}",
                            speaker,
                            f"Ses0{session}",
                            dialogue,
                            style,
                            f"W{(session * 7 + number * 3 + turn) % words}",
                        )
                    )
    return sorted(utterances)


IEMOCAP = corpus([30, 30, 32, 30, 31], 4)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 12), min_size=2, max_size=5),
    turns=st.integers(1, 3),
    fraction=st.floats(0.01, 0.6),
    seed=st.integers(0, 10**9),
    scheme=st.sampled_from(["speaker", "session"]),
)
def test_nothing_leaks(
    sizes: list[int], turns: int, fraction: float, seed: int, scheme: str
) -> None:
    everything = corpus(sizes, turns)
    made = folds.make(everything, scheme, "heldout", fraction, seed)
    assert sorted(turn for fold in made for turn in fold.test) == everything  # each tested once
    for fold in made:
        parts = [{turn.id for turn in part} for part in fold[1:]]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(everything)
        tested = {turn.speaker for turn in fold.test}
        for part in (fold.train, fold.dev):
            assert part == sorted(part) and not tested & {turn.speaker for turn in part}
            if scheme == "session":
                assert not {t.dialogue for t in fold.test} & {t.dialogue for t in part}
        assert not {t.dialogue for t in fold.train} & {t.dialogue for t in fold.dev}
        for speaker in {turn.speaker for turn in everything} - tested:
            own = {turn.dialogue for turn in everything if turn.speaker == speaker}
            held = {turn.dialogue for turn in fold.dev if turn.speaker == speaker}
            share = max(1, round(fraction * len(own)))
            assert len(held) == min(share, len(own) - 1)
            assert {turn.dialogue for turn in fold.train if turn.speaker == speaker} == own - held


def test_folds_of_iemocap() -> None:
    made = folds.make(IEMOCAP, "speaker", "heldout", 0.1, 0)
    assert [fold.name for fold in made] == [f"Ses0{k}{who}" for k in range(1, 6) for who in "FM"]
    for fold in made:
        assert len({turn.speaker for turn in fold.train}) == 9
        assert len({turn.speaker for turn in fold.dev}) == 9
        assert {turn.speaker for turn in fold.test} == {fold.name}
        assert len({turn.dialogue for turn in fold.dev}) == 15
        share = len(fold.dev) / (len(fold.dev) + len(fold.train))
        assert 0.08 < share < 0.12
    assert len({frozenset(turn.dialogue for turn in fold.dev) for fold in made}) == 10
    again = folds.make(IEMOCAP, "speaker", "heldout", 0.1, 0)
    assert made == again
    assert made != folds.make(IEMOCAP, "speaker", "heldout", 0.1, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 40), st.floats(0.01, 0.49), st.integers(0, 10**9))
def test_speakers_of_one_dialogue_each(count: int, fraction: float, seed: int) -> None:
    """Telephone calls, for example: dev then consists of whole speakers."""
    turns = [
        FoldUtterance(f"S{i:02}-{j}", f"S{i:02}", "A", f"call{i}", "", "X")
        for i in range(count)
        for j in "ab"
    ]
    for fold in folds.make(turns, "speaker", "heldout", fraction, seed):
        held = {turn.speaker for turn in fold.dev}
        assert len(held) == max(1, round(fraction * (count - 1)))
        parts = [{turn.speaker for turn in part} for part in fold[1:]]
        assert sum(map(len, parts)) == len(set.union(*parts)) == count


def test_folds_as_given() -> None:
    turns = [turn._replace(fold=f"part{n % 3}") for n, turn in enumerate(IEMOCAP)]
    made = folds.make(turns, "given", "heldout", 0.1, 0)
    assert (
        [fold.name for fold in made]
        == folds.fold_names(turns, "given")
        == ["part0", "part1", "part2"]
    )
    for fold in made:
        assert {turn.fold for turn in fold.test} == {fold.name}
        assert fold.name not in {turn.fold for turn in (*fold.train, *fold.dev)}
    splits = {"Ses02": "dev", "Ses03": "test"}
    three = [turn._replace(fold=splits.get(turn.session, "train")) for turn in IEMOCAP]
    (fold,) = folds.make(three, "given", "heldout", 0.1, 0)
    assert fold.name == "given"
    assert {turn.session for turn in fold.dev} == {"Ses02"} and len(fold.train) == 91 * 8
    with pytest.raises(DataError, match=f"{turns[0].id} has no fold"):
        folds.make([turns[0]._replace(fold=""), *turns[1:]], "given", "heldout", 0.1, 0)


def test_partner() -> None:
    for fold in folds.make(IEMOCAP, "speaker", "partner", 0.1, 0):
        other = fold.name[:-1] + {"F": "M", "M": "F"}[fold.name[-1]]
        assert {turn.speaker for turn in fold.dev} == {other}
        assert len({turn.speaker for turn in fold.train}) == 8
        assert folds.summary(fold)["train"]["dialogues_shared_with_test"] == 0


def test_sessions() -> None:
    made = folds.make(IEMOCAP, "session", "heldout", 0.1, 0)
    assert [fold.name for fold in made] == [f"Ses0{k}" for k in range(1, 6)]
    for fold in made:
        counts = folds.summary(fold)
        assert counts["test"]["speakers"] == [f"{fold.name}F", f"{fold.name}M"]
        assert len(counts["train"]["speakers"]) == 8
        assert counts["train"]["dialogues_shared_with_test"] == 0
        assert counts["dev"]["utterances_in_shared_dialogues"] == 0


def test_the_speaker_is_that_of_the_utterance_not_of_the_dialogue() -> None:
    fold = folds.make(IEMOCAP, "speaker", "heldout", 0.1, 0)[0]
    assert {turn.dialogue[5] for turn in fold.test} == {"F", "M"}
    assert {turn.id.split("_")[-1][0] for turn in fold.test} == {"F"}


def test_counts_by_brute_force() -> None:
    turns = corpus([3, 4], 2)
    turns = [t._replace(text="" if n % 5 == 0 else t.text) for n, t in enumerate(turns)]
    for fold in folds.make(turns, "speaker", "heldout", 0.3, 0):
        counts = folds.summary(fold)
        seen = spoken = shared = 0
        for tested in fold.test:
            spoken += tested.text != ""
            seen += tested.text != "" and any(t.text == tested.text for t in fold.train)
        for trained in fold.train:
            shared += any(t.dialogue == trained.dialogue for t in fold.test)
        assert counts["shared_sentences"]["all"] == {"utterances": spoken, "in_train": seen}
        assert counts["train"]["utterances_in_shared_dialogues"] == shared > 0
        by_style = counts["shared_sentences"]
        assert sum(by_style[s]["in_train"] for s in ("improvised", "scripted")) == seen


def test_invalid_input() -> None:
    with pytest.raises(DataError, match="partner requires"):
        folds.make(IEMOCAP, "session", "partner", 0.1, 0)
    with pytest.raises(DataError, match=r"dev_fraction: 1\.5"):
        folds.make(IEMOCAP, "speaker", "heldout", 1.5, 0)
    lone = [turn for turn in corpus([3], 2) if turn.speaker == "Ses01F"]
    with pytest.raises(DataError, match="fold Ses01F: no utterances for train"):
        folds.make(lone, "speaker", "heldout", 0.1, 0)
    with pytest.raises(DataError, match="fold Ses01F: no utterances for train"):
        folds.make(corpus([3], 2), "speaker", "partner", 0.1, 0)


def test_a_speaker_of_one_dialogue_still_trains() -> None:
    turns = [*corpus([3, 3], 1), FoldUtterance("Ses03F-x_F000", "Ses03F", "Ses03", "x", "", "HI")]
    for fold in folds.make(sorted(turns), "speaker", "heldout", 0.5, 0):
        if fold.name != "Ses03F":
            assert "Ses03F" in {turn.speaker for turn in fold.train}


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("wav.scp", "Ses09F-x x.wav", "wav.scp: Ses09F-x: not in supervisions.jsonl.gz"),
        ("utt2dur", "Ses09F-x 1.0", "utt2dur: Ses09F-x: not in supervisions.jsonl.gz"),
        ("utt2spk", "Ses09F-x Ses09F", "utt2spk: Ses09F-x: not in supervisions.jsonl.gz"),
    ],
)
def test_tables_with_other_utterances_are_refused(
    tmp_path: Path, table: str, line: str, message: str
) -> None:
    make_iemocap(tmp_path, sessions=1, dialogues=1)
    path = tmp_path / "data/local/corpus"
    assert folds.read_utterances(path, check_tables=True)
    with (path / table).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    with pytest.raises(DataError, match=message):
        folds.read_utterances(path, check_tables=True)


def test_the_program(tmp_path: Path) -> None:
    make_iemocap(tmp_path, sessions=3)
    done = bin_run(tmp_path, "make_folds", "data/local/corpus", "data/folds/speaker", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "Ses01F: " in done.stdout and "torch" not in done.stderr
    record = json.loads((tmp_path / "data/folds/speaker/folds.json").read_text())
    for name, counts in record["folds"].items():
        for split in folds.SPLITS:
            ids = datadir.read_list(tmp_path / f"data/folds/speaker/{name}/{split}.list")
            assert ids == sorted(ids) and len(ids) == counts[split]["utterances"]
    again = bin_run(
        tmp_path, "make_folds", "data/local/corpus", "data/folds/speaker", "--seed", "3",
        "--folds", "Ses01F Ses09X",
    )  # fmt: skip
    assert again.returncode == 1 and "up to date" in again.stdout
    assert again.stderr.startswith("error: fold Ses09X does not exist in data/folds/speaker")
    changed = bin_run(tmp_path, "make_folds", "data/local/corpus", "data/folds/speaker")
    assert changed.returncode == 1 and "option seed (was 3, now 0)" in changed.stderr
