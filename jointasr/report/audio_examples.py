"""Utterances with the most word errors, with their audio and the outputs of all systems."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.data import datadir, wav_scp
from jointasr.report import html_page
from jointasr.report.analysis import ScoresByCell
from jointasr.report.elements import AudioExample, AudioExamples, Block, SystemOutput
from jointasr.report.formatting import TRAINED, TRAINING_SETS
from jointasr.report.table1 import Table1Systems
from jointasr.scoring import decode_dir, metrics
from jointasr.scoring.pooling import DecodedFold
from jointasr.utils.errors import DataError


def worst_utterances(
    decoded: Sequence[DecodedFold],
    scores: ScoresByCell,
    systems: Table1Systems,
    tests: Sequence[str],
    count: int,
) -> list[Block]:
    """Return, for each scenario, ``count`` utterances with the most errors of the joint system."""
    blocks: list[Block] = []
    for test in tests:
        folds = [fold for fold in decoded if fold.test == test]
        utterances = _most_errors(scores, systems.joint, test, count)
        if utterances and folds:
            examples = [_example(utterance, folds, systems) for utterance in utterances]
            caption = f"{test}: most word errors of {systems.joint}, both training sets together"
            blocks.append(AudioExamples(caption, examples))
    return blocks


def _most_errors(scores: ScoresByCell, system: str, test: str, count: int) -> list[str]:
    """Return ids by decreasing number of word errors, summed over the training conditions."""
    totals: dict[str, int] = {}
    for train in TRAINING_SETS:
        cell = scores.get((system, train, test))
        for utterance, counts in (cell.words if cell else {}).items():
            totals[utterance] = totals.get(utterance, 0) + counts.errors
    ranked = sorted(totals, key=lambda utterance: (-totals[utterance], utterance))
    return [utterance for utterance in ranked[:count] if totals[utterance]]


def _example(utterance: str, folds: Sequence[DecodedFold], systems: Table1Systems) -> AudioExample:
    """Return audio, reference and outputs of an utterance in one scenario."""
    test_dir = next(
        fold.test_dir
        for fold in folds
        if utterance in datadir.read_table(fold.test_dir / "utt2spk")
    )
    text = datadir.read_table(test_dir / "text").get(utterance, "")
    outputs = []
    same_utterances = [
        fold for fold in folds if fold.test_dir == test_dir and fold.model.system in systems
    ]
    for fold in sorted(same_utterances, key=lambda fold: systems.index(fold.model.system)):
        hyps = decode_dir.read_texts(fold.path)
        words = metrics.align([text], [hyps[utterance]])[0] if utterance in hyps else []
        emotion = decode_dir.read_emotions(fold.path).get(utterance, "")
        title = f"{fold.model.system}, {TRAINED[fold.model.train]}"
        outputs.append(SystemOutput(title, words, emotion))
    emotion = datadir.read_table(test_dir / "utt2emo").get(utterance, "unknown")
    title = f"{utterance}: {text.lower() or '(no words)'}"
    return AudioExample(title, _audio(test_dir, utterance), emotion, outputs)


def _audio(test_dir: Path, utterance: str) -> str:
    """Return the decoded audio of an utterance as a data: URI, "" if it cannot be read."""
    path = test_dir / "wav.scp"
    source = datadir.read_table(path).get(utterance) if path.is_file() else None
    try:
        return html_page.audio_uri(wav_scp.read(source), wav_scp.RATE) if source else ""
    except DataError:
        return ""
