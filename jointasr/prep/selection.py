"""Which turns an experiment is about: by emotion, and with or without words."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jointasr.data import datadir, manifest
from jointasr.utils import files
from jointasr.utils.errors import DataError

UNKNOWN = "(unknown)"  # no label: those have no blanks or brackets


def write(source: Path, out: Path, emotions: Sequence[str], words: bool) -> None:
    """Write the data dir ``out``: turns of ``source`` with one of ``emotions``, or with none known.

    ``words``: leave out those whose transcript is known to be empty. What was kept and dropped goes
    into ``out/report.txt`` and is printed. Raises DataError for an emotion that does not occur.
    """
    labels = datadir.read_table(source / "utt2emo")
    texts = datadir.read_table(source / "text")
    present = Counter(labels.values())
    for emotion in emotions if present else ():  # of a corpus that nobody has labelled: nothing
        if emotion not in present:
            known = " ".join(sorted(present))
            raise DataError(
                f"{source / 'utt2emo'}: no turn is labelled {emotion}; there are {known}"
            )
    meant = {*emotions, UNKNOWN}
    labels = {name: labels.get(name, UNKNOWN) for name in datadir.read_table(source / "utt2spk")}
    labelled = [utterance for utterance, emotion in labels.items() if emotion in meant]
    mute = [utterance for utterance in labelled if words and texts.get(utterance) == ""]
    kept = sorted(set(labelled) - set(mute))
    manifest.subset(source, out, kept)
    report = _report(source, labels, kept, emotions, mute)
    files.write_text(out / "report.txt", report)
    print(report, end="")


def _report(
    source: Path,
    labels: dict[str, str],
    kept: Sequence[str],
    emotions: Sequence[str],
    mute: Sequence[str],
) -> str:
    speakers = datadir.read_table(source / "utt2spk")
    counts = Counter((speakers[utterance], labels[utterance]) for utterance in kept)
    others = Counter(label for label in labels.values() if label not in {*emotions, UNKNOWN})
    if any(labels[utterance] == UNKNOWN for utterance in kept):
        emotions = [*emotions, UNKNOWN]
    lines = [f"{len(kept)} of {len(labels)} turns kept: " + " ".join(emotions)]
    for speaker in sorted({speakers[utterance] for utterance in kept}):
        row = [counts[speaker, emotion] for emotion in emotions]
        lines.append(f"  {speaker} {' '.join(map(str, row))} = {sum(row)}")
    total = [sum(counts[key] for key in counts if key[1] == emotion) for emotion in emotions]
    lines.append(f"  all {' '.join(map(str, total))} = {len(kept)}")
    dropped = " ".join(f"{label} {count}" for label, count in sorted(others.items())) or "none"
    lines.append(f"dropped, other labels: {dropped}")
    lines.append(f"dropped, no words: {len(mute)}")
    lines += [f"  {utterance}" for utterance in mute]
    return "\n".join(lines) + "\n"
