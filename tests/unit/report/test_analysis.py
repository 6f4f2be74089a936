"""Cells and pairs of systems: what is computed is what the per-utterance scores say."""

from pathlib import Path

import numpy as np
import pytest
import toy_exp
from jointasr.report.table import Cells, Trio

from jointasr.config.schema import Report
from jointasr.report import ablation, analysis, stats
from jointasr.scoring import pooling, score_dir
from jointasr.scoring.metrics import WordCounts
from jointasr.scoring.score_dir import Score, UtteranceInfo

CONF = Report(resamples=500)
LABELS = ("ang", "neu")


def score(errors: float, right: float, seed: int, speakers: int = 8, each: int = 30) -> Score:
    """A made-up system: word error rate ``errors``, share of right emotions ``right``."""
    generator = np.random.default_rng(seed)
    facts, words, emotions = {}, {}, {}
    for speaker in range(speakers):
        for number in range(each):
            name = f"S{speaker}-{number:02d}"
            total = 4 + number % 5
            wrong = int(generator.binomial(total, errors))
            emotion = LABELS[number % 2]
            other = LABELS[(number + 1) % 2]
            facts[name] = UtteranceInfo(f"S{speaker}", emotion, "impro")
            words[name] = WordCounts(sub=wrong, ref_words=total)
            emotions[name] = (emotion, emotion if generator.random() < right else other)
    return Score(facts, words, emotions, labels=LABELS)


def cell(system: str, kind: str, test: str, seed: int = 0) -> dict[str, object]:
    values = {"wer": None if kind == "ser" else {}, "acc": None if kind == "asr" else {}}
    about = {"system": system, "kind": kind, "seed": seed, "test": test, "train": "clean"}
    return {**about, "method": "default", "folds": ["S0"], **values}


def test_errors_are_those_of_the_utterances() -> None:
    one = score(0.3, 0.7, 0)
    words, answers = analysis.errors(one, "wer"), analysis.errors(one, "acc")
    assert words is not None and answers is not None
    assert one.counts is not None and words.rate == pytest.approx(one.counts.wer)
    assert one.confusion is not None and 100 - answers.rate == pytest.approx(one.confusion.wa)
    per_speaker = {name: part.counts for name, part in one.by(lambda f: f.speaker).items()}
    assert {name: c.wer for name, c in per_speaker.items() if c} == pytest.approx(
        words.by_speaker()
    )
    assert analysis.errors(Score({}), "wer") is None


def test_estimates_are_on_the_scale_of_their_metric() -> None:
    found = analysis.errors(score(0.3, 0.7, 0), "acc")
    assert found is not None
    accuracy = analysis.estimate(found, "acc", CONF)
    assert accuracy.these.low < accuracy.value < accuracy.these.high
    assert accuracy.new is not None and accuracy.new.low < accuracy.value < accuracy.new.high
    assert 55 < accuracy.value < 85


def test_comparisons_of_cells() -> None:
    scores = {
        ("asr", "clean", "clean"): score(0.30, 0.5, 1),
        ("joint", "clean", "clean"): score(0.15, 0.9, 2),
        ("asr", "clean", "noise"): score(0.50, 0.5, 3),
        ("joint", "clean", "noise"): score(0.60, 0.5, 4),
        ("asr", "clean", "music"): score(0.30, 0.5, 5),
        ("joint", "clean", "music"): score(0.30, 0.5, 5),
        ("joint", "noisy", "clean"): score(0.30, 0.5, 6),  # has no base
    }
    wanted = [("clean", test) for test in ("clean", "noise", "music")] + [("noisy", "clean")]
    found = analysis.compare(scores, ("asr", "joint"), "wer", wanted, CONF)
    assert [one.test for one in found] == ["clean", "noise", "music"]
    better, worse, same = found
    assert better.gain == pytest.approx(better.base - better.joint) and better.gain > 10
    assert better.these.low < better.gain < better.these.high
    assert better.new is not None and better.new.low > 0
    assert [one.verdict(0.05) for one in found] == ["better", "worse", "no worse"]
    assert same.p == 1.0 and same.gain == 0.0 and same.these == (0, 0)
    assert [one.p_holm for one in found] == stats.holm([one.p for one in found])
    assert better.p_speakers == 1 / 256 and worse.p_speakers is not None
    assert worse.p_speakers > 0.9 and worse.p_no_worse > 0.9
    right = analysis.compare(scores, ("asr", "joint"), "acc", [("clean", "clean")], CONF)[0]
    assert right.gain == pytest.approx(right.joint - right.base) and right.verdict(0.05) == "better"


def test_too_few_speakers_are_said_to_be() -> None:
    pair = [score(rate, 0.5, seed, speakers=5) for seed, rate in enumerate((0.4, 0.2))]
    scores = {(name, "clean", "clean"): one for name, one in zip("ab", pair, strict=True)}
    (found,) = analysis.compare(scores, ("a", "b"), "wer", [("clean", "clean")], CONF)
    assert found.p_speakers is None and found.p_speakers_holm is None and found.p < 0.05


def test_systems_on_other_utterances_are_not_compared() -> None:
    scores = {
        ("asr", "clean", "clean"): score(0.3, 0.5, 1),
        ("joint", "clean", "clean"): score(0.3, 0.5, 1, each=29),
    }
    assert analysis.compare(scores, ("asr", "joint"), "wer", [("clean", "clean")], CONF) == []


def test_ablations_average_over_seeds_and_scenarios() -> None:
    tests = ["clean", "noise", "music"]
    scores, cells = {}, []
    for system, seed, base in (("joint", 0, 0.3), ("joint-s1", 1, 0.4), ("concat", 0, 0.2)):
        for number, test in enumerate(tests):
            draw = 10 * number + seed + 100 * (system == "concat")
            scores[system, "clean", test] = score(base + 0.1 * number, 0.7, draw)
            cells.append(cell(system, "joint", test, seed))
    found = ablation.rows(Cells(cells, "default"), scores, Trio(), tests, CONF)
    assert [(row.system, row.seeds, row.train) for row in found] == [
        ("joint", [0, 1], "clean"),
        ("concat", [0], "clean"),
    ]
    joint, concat = found

    def wer(system: str, test: str) -> float:
        counts = scores[system, "clean", test].counts
        assert counts is not None
        return counts.wer

    both = [wer(system, "clean") for system in ("joint", "joint-s1")]
    assert joint.clean["wer"].rate == pytest.approx(np.mean(both))
    assert joint.clean["wer"].gain is None
    noisy = np.mean([wer("concat", test) for test in tests[1:]])
    assert concat.noisy["wer"].rate == pytest.approx(noisy)
    gain = concat.clean["wer"].gain
    assert gain is not None
    assert gain.value == pytest.approx(np.mean(both) - wer("concat", "clean"))
    assert gain.these.low < gain.value < gain.these.high
    del scores["concat", "clean", "music"]
    left = ablation.rows(Cells(cells, "default"), scores, Trio(), tests, CONF)[1]
    assert left.noisy == {} and left.clean["wer"].rate == concat.clean["wer"].rate


def test_scores_of_cells_are_read_where_all_folds_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_exp.make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    system = toy_exp.make_system(tmp_path, "joint", "joint")
    parts, _ = pooling.find([system], [], toy_exp.TESTS, "default")
    cells = Cells(pooling.pool(pooling.score_parts(parts), "./run.sh"), "default")
    scores = analysis.load_scores(cells, Path("exp"))
    assert set(scores) == {("joint", "clean", test) for test in toy_exp.TESTS}
    one = scores["joint", "clean", "clean"]
    assert list(one.facts) == sorted(one.facts) and len(one.facts) == 5
    assert one.counts == WordCounts(sub=1, dele=3, ins=1, ref_words=8)
    assert len(analysis.load_parts(cells, Path("exp"))) == 4
    (Path("exp/joint_clean/fold_Ses02M/decode_clean") / ".done").unlink()
    assert set(analysis.load_scores(cells, Path("exp"))) == {("joint", "clean", "noise_snr5")}
    with pytest.raises(AssertionError):
        one + one
    assert score_dir.load(parts[0].data, parts[0].decode) == score_dir.score(
        parts[0].data, Path(parts[0].model.lang), parts[0].decode
    )
