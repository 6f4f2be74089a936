"""Audit of what was scored: references, audio and hypotheses."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from jointasr.config import layout, scenarios
from jointasr.data import datadir
from jointasr.report.findings import Finding, expect_none
from jointasr.scoring import decode_dir
from jointasr.scoring.pooling import DecodedFold
from jointasr.utils import jsonl


def references(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that transcripts, emotions and speakers of the test dirs are those of the corpus."""
    violations: dict[str, list[str]] = {}
    for test_dir in sorted({fold.test_dir for fold in decoded}):
        selected = layout.selected_dir(layout.data_folder(test_dir.parent))
        listed = datadir.read_list(layout.list_file(test_dir.parent, "test"))
        wrong = set(listed) ^ datadir.read_table(test_dir / "utt2spk").keys()
        for table in ("text", "utt2emo", "utt2spk"):
            truth = datadir.read_table(selected / table)
            used = datadir.read_table(test_dir / table)
            wrong |= {utt for utt in listed if truth.get(utt) != used.get(utt)}
        violations[str(test_dir)] = sorted(wrong)
    yield from expect_none("references that differ from the corpus", violations, "test sets")


def audio(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that each data dir refers to the audio of its own set, e.g. noisy test, noisy audio."""
    sets: dict[Path, str] = {fold.test_dir: fold.test for fold in decoded}
    for fold in decoded:
        noisy = fold.model.train != scenarios.CLEAN
        fold_dir, train = Path(fold.model.data), fold.model.train
        sets[layout.set_dir(fold_dir, "train", train)] = (
            scenarios.TRAIN_NOISY if noisy else scenarios.CLEAN
        )
        sets[layout.set_dir(fold_dir, "dev", train)] = (
            scenarios.DEV_NOISY if noisy else scenarios.CLEAN
        )
    violations: dict[str, list[str]] = {}
    for data_dir, name in sets.items():
        archived = datadir.read_table(layout.data_folder(data_dir.parent) / name / "wav.scp")
        cuts = jsonl.read(data_dir / layout.CUTS)
        sources = {cut["id"]: cut["recording"]["sources"][0]["source"] for cut in cuts}
        violations[str(data_dir)] = sorted(
            utt for utt, source in sources.items() if archived.get(utt) != source
        )
    yield from expect_none("audio from another set's archive", violations, "data dirs")


def hypotheses(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that there is exactly one hypothesis for each utterance of the test set."""
    violations: dict[str, list[str]] = {}
    for fold in decoded:
        expected = datadir.read_table(fold.test_dir / "utt2spk").keys()
        for name in decode_dir.hypothesis_files(fold.model.kind):
            path = fold.path / name
            wrong = expected ^ datadir.read_table(path).keys() if path.is_file() else expected
            violations[str(path)] = sorted(wrong)
    yield from expect_none("missing or extra hypotheses", violations, "outputs")


def unreadable(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that the audio of all utterances could be read for decoding."""
    violations = {str(fold.path): sorted(decode_dir.read_unreadable(fold.path)) for fold in decoded}
    yield from expect_none("unreadable audio, counted as errors", violations, "outputs")
