"""Selection of the utterances of an experiment: by emotion, and optionally those with words."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jointasr.data import datadir, manifest
from jointasr.utils import files
from jointasr.utils.errors import DataError

UNKNOWN = "(unknown)"
"""shown for utterances without a label"""


def write(source: Path, out: Path, emotions: Sequence[str], words: bool) -> None:
    """Write the data dir ``out``: utterances of ``source`` with one of ``emotions`` or no label.

    ``words``: exclude utterances with an empty transcript, but not those without a transcript.
    Counts are printed and written to ``out/report.txt``. Raises DataError for an emotion that does
    not occur in a labelled corpus.
    """
    labels = datadir.read_table(source / "utt2emo")
    texts = datadir.read_table(source / "text")
    existing = sorted(set(labels.values()))
    for emotion in emotions if existing else ():
        if emotion not in existing:
            raise DataError(
                f"{source / 'utt2emo'}: no utterance is labelled {emotion}; labels: "
                f"{' '.join(existing)}"
            )
    used_labels = {*emotions, UNKNOWN}
    labels = {name: labels.get(name, UNKNOWN) for name in datadir.read_table(source / "utt2spk")}
    candidates = [utterance for utterance, emotion in labels.items() if emotion in used_labels]
    wordless = [utterance for utterance in candidates if words and texts.get(utterance) == ""]
    selected = sorted(set(candidates) - set(wordless))
    manifest.subset(source, out, selected)
    report = _report(source, labels, selected, emotions, wordless)
    files.write_text(out / "report.txt", report)
    print(report, end="")


def _report(
    source: Path,
    labels: dict[str, str],
    selected: Sequence[str],
    emotions: Sequence[str],
    wordless: Sequence[str],
) -> str:
    speakers = datadir.read_table(source / "utt2spk")
    counts = Counter((speakers[utterance], labels[utterance]) for utterance in selected)
    other_labels = Counter(label for label in labels.values() if label not in {*emotions, UNKNOWN})
    if any(labels[utterance] == UNKNOWN for utterance in selected):
        emotions = [*emotions, UNKNOWN]
    lines = [f"{len(selected)} of {len(labels)} utterances selected: " + " ".join(emotions)]
    for speaker in sorted({speakers[utterance] for utterance in selected}):
        row = [counts[speaker, emotion] for emotion in emotions]
        lines.append(f"  {speaker} {' '.join(map(str, row))} = {sum(row)}")
    total = [sum(counts[key] for key in counts if key[1] == emotion) for emotion in emotions]
    lines.append(f"  all {' '.join(map(str, total))} = {len(selected)}")
    excluded = (
        " ".join(f"{label} {count}" for label, count in sorted(other_labels.items())) or "none"
    )
    lines.append(f"excluded, other labels: {excluded}")
    lines.append(f"excluded, no words: {len(wordless)}")
    lines += [f"  {utterance}" for utterance in wordless]
    return "\n".join(lines) + "\n"
