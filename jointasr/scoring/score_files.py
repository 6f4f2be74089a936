"""The score files of a decode folder, in the formats of Kaldi and icefall: writing and reading.

========================  =========================================================================
scoring_kaldi/wer         Kaldi's %WER line
scoring_kaldi/utt2counts  reference words, sub, del and ins of each utterance
scoring_kaldi/per_spk     word errors per speaker; also per_emo, per_style
errs                      icefall's error file; outside scoring_kaldi, because a word such as
                          WERE in it would match ``grep WER decode_*/scoring_kaldi/*``
scoring_ser/acc           %ACC line: weighted and unweighted accuracy, macro-F1
scoring_ser/ece           %ECE line, if there are posteriors
scoring_ser/confusion     confusion matrix; rows are references, columns hypotheses
scoring_ser/utt2pred      reference and recognized emotion of each utterance
scoring_ser/per_spk       accuracy per speaker; also per_emo (recall), per_style
========================  =========================================================================

A file is written only if its content changes: the report depends on modification times.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jointasr.data.datadir import read_table, write_table
from jointasr.scoring import error_file, metrics
from jointasr.scoring.metrics import Confusion, Pair, WordCounts
from jointasr.scoring.scores import GROUPINGS, UtteranceScores
from jointasr.utils import files
from jointasr.utils.errors import DataError

KALDI = "scoring_kaldi"
SER = "scoring_ser"
COUNTS, PREDICTIONS, CONFUSION = f"{KALDI}/utt2counts", f"{SER}/utt2pred", f"{SER}/confusion"


def write_words(
    folder: Path,
    scores: UtteranceScores,
    alignments: Mapping[str, list[Pair]],
    posteriors: Mapping[str, Sequence[float]],
) -> None:
    """Write the word errors of a decode folder.

    ``alignments`` has the aligned words of each scored utterance, ``posteriors`` those of the
    hypothesis words, if the decoding method estimates them. Without scored utterances, only an
    empty utt2counts is written.
    """
    if scores.counts is None:
        write_table(folder / COUNTS, {})
        return
    line = wer_line(scores.counts)
    files.write_text_if_changed(folder / "errs", error_file.text(line, alignments, posteriors))
    for name, file_name, key in GROUPINGS:
        groups = {group: part for group, part in scores.group_by(key).items() if part.words}
        files.write_text_if_changed(folder / KALDI / file_name, _word_errors_by(groups, name))
    counts = {utt: f"{c.ref_words} {c.sub} {c.dele} {c.ins}" for utt, c in scores.words.items()}
    write_table(folder / COUNTS, counts)
    scored = f"Scored {len(counts)} sentences, 0 not present in hyp."
    files.write_text_if_changed(folder / KALDI / "wer", f"{line}\n{scored}\n")


def write_emotions(folder: Path, scores: UtteranceScores) -> None:
    """Write the accuracies of a decode folder, and the calibration error if it has posteriors.

    Without scored utterances, only an empty utt2pred is written.
    """
    confusion = scores.confusion
    if confusion is None:
        write_table(folder / PREDICTIONS, {})
        return
    files.write_text_if_changed(folder / CONFUSION, _confusion_table(confusion))
    for name, file_name, key in GROUPINGS:
        groups = {group: part.confusion for group, part in scores.group_by(key).items()}
        files.write_text_if_changed(folder / SER / file_name, _accuracy_by(groups, name))
    pairs = {utt: f"{ref} {hyp}" for utt, (ref, hyp) in scores.emotions.items()}
    write_table(folder / PREDICTIONS, pairs)
    scored = f"Scored {len(pairs)} utterances, 0 not present in hyp."
    files.write_text_if_changed(folder / SER / "acc", f"{acc_line(confusion)}\n{scored}\n")
    if scores.ece is not None:
        size = f"{metrics.ECE_BINS} bins, {len(scores.posteriors)} utterances"
        files.write_text_if_changed(folder / SER / "ece", f"%ECE {scores.ece:.2f} [ {size} ]\n")


def require_scored(folder: Path) -> None:
    """Raise DataError if a decode folder has no scores."""
    if not any((folder / name).is_file() for name in (COUNTS, PREDICTIONS)):
        raise DataError(f"{folder}: not scored yet; run stage 9 or local/score.sh first")


def read_words(folder: Path) -> dict[str, WordCounts]:
    """Return the word errors of each scored utterance, {} if there are none."""
    if not (folder / COUNTS).is_file():
        return {}
    words = {}
    for utt, line in read_table(folder / COUNTS).items():
        ref_words, sub, dele, ins = map(int, line.split())
        words[utt] = WordCounts(sub, dele, ins, ref_words)
    return words


def read_emotions(folder: Path) -> tuple[dict[str, tuple[str, str]], tuple[str, ...]]:
    """Return (reference, hypothesis) of each scored utterance, and all emotion labels."""
    emotions: dict[str, tuple[str, str]] = {}
    if (folder / PREDICTIONS).is_file():
        for utt, line in read_table(folder / PREDICTIONS).items():
            ref, hyp = line.split()
            emotions[utt] = (ref, hyp)
    if not emotions:
        return {}, ()
    header = files.read_text(folder / CONFUSION).partition("\n")[0]
    return emotions, tuple(header.split()[1:])


def wer_line(counts: WordCounts) -> str:
    """Return Kaldi's line, e.g. ``%WER 15.02 [ 123 / 819, 3 ins, 12 del, 108 sub ]``."""
    return (
        f"%WER {counts.wer:.2f} [ {counts.errors} / {counts.ref_words}, "
        f"{counts.ins} ins, {counts.dele} del, {counts.sub} sub ]"
    )


def acc_line(confusion: Confusion) -> str:
    """Return a similar line, e.g. ``%ACC 71.90 [ 394 / 548, UA 70.12, macro-F1 69.80 ]``."""
    return (
        f"%ACC {confusion.wa:.2f} [ {confusion.correct} / {confusion.n}, "
        f"UA {confusion.ua:.2f}, macro-F1 {confusion.macro_f1:.2f} ]"
    )


def _word_errors_by(groups: Mapping[str, UtteranceScores], grouping: str) -> str:
    lines = [f"# {grouping} sentences words corr sub ins del err%"]
    for name, part in sorted(groups.items()):
        c = part.counts or WordCounts()
        corr = c.ref_words - c.sub - c.dele
        lines.append(
            f"{name} {len(part.words)} {c.ref_words} {corr} {c.sub} {c.ins} {c.dele} {c.wer:.2f}"
        )
    return "\n".join(lines) + "\n"


def _accuracy_by(groups: Mapping[str, Confusion | None], grouping: str) -> str:
    lines = [f"# {grouping} utterances corr acc%"]
    lines += [f"{name} {c.n} {c.correct} {c.wa:.2f}" for name, c in sorted(groups.items()) if c]
    return "\n".join(lines) + "\n"


def _confusion_table(confusion: Confusion) -> str:
    width = max(len("ref\\hyp"), *map(len, confusion.labels), len(str(confusion.n))) + 1
    rows: list[Iterable[object]] = [("ref\\hyp", *confusion.labels)]
    rows += [(label, *row) for label, row in zip(confusion.labels, confusion.counts, strict=True)]
    return "".join("".join(str(x).ljust(width) for x in row).rstrip() + "\n" for row in rows)
