"""Estimates and comparisons of systems from made-up per-utterance scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toy_exp

from jointasr.config.report_schema import Report
from jointasr.report import ablation, analysis, figures, stats, tables
from jointasr.report.elements import Figure, Paragraph
from jointasr.report.table1 import Table1Systems
from jointasr.scoring import pooling, score_dir
from jointasr.scoring.metrics import WordCounts
from jointasr.scoring.results_json import Results
from jointasr.scoring.scores import UtteranceInfo, UtteranceScores

CONF = Report(resamples=500)
LABELS = ("ang", "neu")


def make_scores(
    wer: float, accuracy: float, seed: int, speakers: int = 8, per_speaker: int = 30
) -> UtteranceScores:
    """Draw the scores of a system with expected ``wer`` and ``accuracy``, both 0 to 1."""
    generator = np.random.default_rng(seed)
    utterances, words, emotions = {}, {}, {}
    for speaker in range(speakers):
        for number in range(per_speaker):
            name = f"S{speaker}-{number:02d}"
            total = 4 + number % 5
            wrong = int(generator.binomial(total, wer))
            emotion = LABELS[number % 2]
            other = LABELS[(number + 1) % 2]
            utterances[name] = UtteranceInfo(f"S{speaker}", emotion, "impro")
            words[name] = WordCounts(sub=wrong, ref_words=total)
            emotions[name] = (emotion, emotion if generator.random() < accuracy else other)
    return UtteranceScores(utterances, words, emotions, labels=LABELS)


def cell(system: str, kind: str, test: str, seed: int = 0) -> dict[str, object]:
    values = {"wer": None if kind == "ser" else {}, "acc": None if kind == "asr" else {}}
    fields = {"system": system, "kind": kind, "seed": seed, "test": test, "train": "clean"}
    return {**fields, "method": "default", "folds": ["S0"], **values}


def test_errors_per_utterance_and_speaker() -> None:
    scores = make_scores(0.3, 0.7, 0)
    word_errors = analysis.utterance_errors(scores, "wer")
    wrong_emotions = analysis.utterance_errors(scores, "acc")
    assert word_errors is not None and wrong_emotions is not None
    assert scores.counts is not None and scores.confusion is not None
    assert word_errors.rate == pytest.approx(scores.counts.wer)
    assert 100 - wrong_emotions.rate == pytest.approx(scores.confusion.wa)
    by_speaker = scores.group_by(lambda info: info.speaker)
    counts = {speaker: part.counts for speaker, part in by_speaker.items()}
    expected = {speaker: count.wer for speaker, count in counts.items() if count}
    assert word_errors.by_speaker() == pytest.approx(expected)
    assert analysis.utterance_errors(UtteranceScores({}), "wer") is None


def test_estimates_of_accuracy() -> None:
    errors = analysis.utterance_errors(make_scores(0.3, 0.7, 0), "acc")
    assert errors is not None
    accuracy = analysis.estimate(errors, "acc", CONF)
    assert accuracy.utterance_interval.low < accuracy.value < accuracy.utterance_interval.high
    assert (
        accuracy.speaker_interval is not None
        and accuracy.speaker_interval.low < accuracy.value < accuracy.speaker_interval.high
    )
    assert 55 < accuracy.value < 85


def test_comparisons_of_cells() -> None:
    scores = {
        ("asr", "clean", "clean"): make_scores(0.30, 0.5, 1),
        ("joint", "clean", "clean"): make_scores(0.15, 0.9, 2),
        ("asr", "clean", "noise"): make_scores(0.50, 0.5, 3),
        ("joint", "clean", "noise"): make_scores(0.60, 0.5, 4),
        ("asr", "clean", "music"): make_scores(0.30, 0.5, 5),
        ("joint", "clean", "music"): make_scores(0.30, 0.5, 5),
        ("joint", "noisy", "clean"): make_scores(0.30, 0.5, 6),  # without a baseline
    }
    conditions = [("clean", test) for test in ("clean", "noise", "music")] + [("noisy", "clean")]
    comparisons = analysis.compare(scores, ("asr", "joint"), "wer", conditions, CONF)
    assert [comparison.test for comparison in comparisons] == ["clean", "noise", "music"]
    better, worse, same = comparisons
    assert better.gain == pytest.approx(better.baseline - better.system) and better.gain > 10
    assert better.utterance_interval.low < better.gain < better.utterance_interval.high
    assert better.speaker_interval is not None and better.speaker_interval.low > 0
    assert [comparison.verdict(0.05) for comparison in comparisons] == [
        "better",
        "worse",
        "non-inferior",
    ]
    assert same.p_utterances == 1.0 and same.gain == 0.0 and same.utterance_interval == (0, 0)
    assert [comparison.p_utterances_adjusted for comparison in comparisons] == stats.holm(
        [comparison.p_utterances for comparison in comparisons]
    )
    assert better.p_speakers == 1 / 256 and worse.p_speakers is not None
    assert worse.p_speakers > 0.9 and worse.p_non_inferior > 0.9
    accuracy = analysis.compare(scores, ("asr", "joint"), "acc", [("clean", "clean")], CONF)[0]
    assert (
        accuracy.gain == pytest.approx(accuracy.system - accuracy.baseline)
        and accuracy.verdict(0.05) == "better"
    )


def test_note_on_tests_and_adjustments() -> None:
    note = tables.comparisons([], Table1Systems(), CONF)[-1]
    assert isinstance(note, Paragraph)
    assert "exact for up to 16 speakers, random sign flips for more." in note.text
    assert (
        "adjusted for all cells of the metric. Intervals are per cell and not adjusted."
        in note.text
    )
    assert "p non-inferior: one-sided, not adjusted;" in note.text


def test_no_test_over_too_few_speakers() -> None:
    pair = [make_scores(rate, 0.5, seed, speakers=5) for seed, rate in enumerate((0.4, 0.2))]
    scores = {(name, "clean", "clean"): system for name, system in zip("ab", pair, strict=True)}
    (comparison,) = analysis.compare(scores, ("a", "b"), "wer", [("clean", "clean")], CONF)
    assert (
        comparison.p_speakers is None
        and comparison.p_speakers_adjusted is None
        and comparison.p_utterances < 0.05
    )


def test_systems_with_different_utterances_are_not_compared() -> None:
    scores = {
        ("asr", "clean", "clean"): make_scores(0.3, 0.5, 1),
        ("joint", "clean", "clean"): make_scores(0.3, 0.5, 1, per_speaker=29),
    }
    assert analysis.compare(scores, ("asr", "joint"), "wer", [("clean", "clean")], CONF) == []


def test_ablations_average_over_seeds_and_scenarios() -> None:
    tests = ["clean", "noise", "music"]
    scores, cells = {}, []
    for system, seed, base in (("joint", 0, 0.3), ("joint-s1", 1, 0.4), ("concat", 0, 0.2)):
        for number, test in enumerate(tests):
            draw = 10 * number + seed + 100 * (system == "concat")
            scores[system, "clean", test] = make_scores(base + 0.1 * number, 0.7, draw)
            cells.append(cell(system, "joint", test, seed))
    rows = ablation.rows(Results(cells, "default"), scores, Table1Systems(), tests, CONF)
    assert [(row.system, row.seeds, row.train) for row in rows] == [
        ("joint", [0, 1], "clean"),
        ("concat", [0], "clean"),
    ]
    joint, concat = rows

    def wer(system: str, test: str) -> float:
        counts = scores[system, "clean", test].counts
        assert counts is not None
        return counts.wer

    both = [wer(system, "clean") for system in ("joint", "joint-s1")]
    assert joint.clean["wer"].value == pytest.approx(np.mean(both))
    assert joint.clean["wer"].gain is None
    noisy = np.mean([wer("concat", test) for test in tests[1:]])
    assert concat.noisy["wer"].value == pytest.approx(noisy)
    gain = concat.clean["wer"].gain
    assert gain is not None
    assert gain.value == pytest.approx(np.mean(both) - wer("concat", "clean"))
    assert gain.utterance_interval.low < gain.value < gain.utterance_interval.high
    del scores["concat", "clean", "music"]
    partial = ablation.rows(Results(cells, "default"), scores, Table1Systems(), tests, CONF)[1]
    assert partial.noisy == {} and partial.clean["wer"].value == concat.clean["wer"].value


def test_means_over_seeds_or_scenarios() -> None:
    first, second = (analysis.utterance_errors(make_scores(0.3, 0.7, k), "wer") for k in (1, 2))
    fewer = analysis.utterance_errors(make_scores(0.3, 0.7, 1, per_speaker=29), "wer")
    assert first is not None and second is not None
    mean = analysis.mean_errors([first, second])
    assert mean is not None and mean.rate == pytest.approx((first.rate + second.rate) / 2)
    assert list(mean.errors) == [
        (a + b) / 2 for a, b in zip(first.errors, second.errors, strict=True)
    ]
    assert analysis.mean_errors([]) is None
    assert analysis.mean_errors([first, None]) is None
    assert analysis.mean_errors([first, fewer]) is None
    assert analysis.utterance_errors(None, "wer") is None


def test_rates_of_speakers_skip_scenarios_without_the_metric() -> None:
    """But a missing scenario gives no rates, as do scenarios with other utterances."""
    scores = {
        ("joint", "clean", "noise"): make_scores(0.3, 0.7, 1),
        ("joint", "clean", "music"): replace(make_scores(0.4, 0.7, 2), words={}),
        ("joint", "clean", "speech"): make_scores(0.3, 0.7, 1, per_speaker=29),
    }

    def figure(*tests: str) -> Figure | None:
        return figures.speakers(scores, Table1Systems(), ["clean", *tests])

    noise, both = figure("noise"), figure("noise", "music")
    assert noise is not None and both is not None
    assert both.svgs[0] == noise.svgs[0] and both.svgs[1] != noise.svgs[1]
    assert figure("noise", "speech") is None and figure("noise", "babble") is None


def test_scores_of_cells_are_loaded_if_all_folds_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_exp.make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    system = toy_exp.make_system(tmp_path, "joint", "joint")
    decoded, _ = pooling.find_decoded_folds([system], [], toy_exp.TESTS, "default")
    results = Results(pooling.pool(pooling.score_all(decoded), "./run.sh"), "default")
    scores = analysis.load_scores(results, Path("exp"))
    assert set(scores) == {("joint", "clean", test) for test in toy_exp.TESTS}
    pooled = scores["joint", "clean", "clean"]
    assert list(pooled.utterances) == sorted(pooled.utterances) and len(pooled.utterances) == 5
    assert pooled.counts == WordCounts(sub=1, dele=3, ins=1, ref_words=8)
    assert len(analysis.find_decoded(results, Path("exp"))) == 4
    (Path("exp/joint_clean/fold_Ses02M/decode_clean") / ".done").unlink()
    assert set(analysis.load_scores(results, Path("exp"))) == {("joint", "clean", "noise_snr5")}
    first = decoded[0]
    with pytest.raises(AssertionError):
        pooled + pooled
    assert score_dir.load(first.test_dir, first.path) == score_dir.score(
        first.test_dir, Path(first.model.lang), first.path
    )
