#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Prepare IEMOCAP: lhotse manifests and a Kaldi data dir of all labelled utterances.

Writes to OUT: recordings, supervisions and cuts (jsonl.gz), wav.scp text utt2spk spk2utt utt2emo
utt2dur, and report.txt with the counts and all ignored files and lines. The corpus is not modified.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jointasr.utils import done, errors, files
from local import corpus
from local.iemocap import counts, layout, turns

PARTIAL = "--allow-partial true continues with what exists"
INCOMPLETE, OTHER_COUNT = "INCOMPLETE: ", "OTHER COUNT: "
"""prefixes of lines in the report"""
CODE = "local/prepare_iemocap.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder that holds Session1 ... Session5")
    parser.add_argument("out", type=Path, help="data dir to write, e.g. data/local/iemocap")
    parser.add_argument("--counts", type=Path, required=True, help="expected counts (tsv)")
    parser.add_argument(
        "--write-counts", action="store_true", help="only write the counts of this corpus to COUNTS"
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="accept an incomplete release or other counts; both are reported",
    )
    args = parser.parse_args()
    corpus.require_outside(args.out, args.corpus)
    if args.write_counts:
        labelled, _ = turns.read(layout.dialogues(args.corpus)[0])
        counts.write(
            args.counts, counts.count(labelled), "made by prepare_iemocap.py --write-counts"
        )
        return
    layout.dialogues(args.corpus)  # report a wrong path before reading files
    options = {
        "corpus": args.corpus,
        "files": corpus.digest(layout.files(args.corpus), args.corpus),
    }
    with done.step(args.out, CODE, options, [args.counts]) as todo:
        if todo:
            prepare(args.corpus, args.out, args.counts, args.allow_partial)
    if not (todo or args.allow_partial):
        require_complete(args.out / "report.txt")


def prepare(root: Path, out: Path, expected: Path, allow_partial: bool) -> None:
    """Check the corpus, then write the data dir. Raises DataError for the first kind of problem."""
    dialogues, missing = layout.dialogues(root)
    if missing and not allow_partial:
        hint = f"{root}: the release is incomplete; {PARTIAL}"
        raise errors.DataError("\n  ".join([hint, *missing]))
    labelled, ignored = turns.read(dialogues)
    counted = counts.count(labelled)
    differences = counts.differences(counted, counts.read(expected))
    if differences and not allow_partial:
        lines = [f"{root}: {line} ({expected})" for line in differences]
        corpus.raise_problems(lines, f"counts of {root} differ from {expected}", PARTIAL)
    _write(labelled, out)
    report = _report(root, labelled, counted, ignored, missing, differences)
    files.write_text(out / "report.txt", report)
    print(report, end="")


def require_complete(report: Path) -> None:
    """Raise DataError if an earlier run with --allow-partial prepared an incomplete corpus."""
    for line in files.read_text(report).splitlines():
        if line.startswith((INCOMPLETE, OTHER_COUNT)):
            raise errors.DataError(f"{report}: {line}; {PARTIAL}")


def _write(labelled: Sequence[turns.IemocapTurn], out: Path) -> None:
    headers = corpus.read_headers([turn.wav for turn in labelled])
    from lhotse import CutSet

    from jointasr.data import manifest
    from local import manifests

    cuts = []
    for turn, header in zip(labelled, headers, strict=True):
        custom = {
            "label": turn.label,
            "emotion": turn.emotion,
            "dialogue": turn.dialogue,
            "session": turn.session,
            "style": turn.style,
        }
        recording = manifests.recording(turn.id, turn.wav, header)
        cuts.append(
            manifests.utterance(recording, turn.text, turn.speaker, custom, turn.gender, "English")
        )
    manifest.write(CutSet.from_cuts(cuts), out)


def _report(
    root: Path,
    labelled: list[turns.IemocapTurn],
    counted: counts.Counts,
    ignored: Counter[str],
    missing: list[str],
    differences: list[str],
) -> str:
    other_labels = Counter(turn.label for turn in labelled if turn.emotion not in turns.FOUR)
    lines = [
        f"{root}: {counted['labelled', 'turns']} labelled utterances in "
        f"{counted['labelled', 'dialogues']} dialogues",
        f"{counted['emotions', 'turns']} have one of the four emotions "
        f"({counted['emotions', 'improvised']} improvised, "
        f"{counted['emotions', 'scripted']} scripted)",
        f"{counted['speech', 'turns']} of these have words ({counted['speech', 'words']} words)",
        "excluded later, other labels: "
        + (", ".join(f"{label} {n}" for label, n in sorted(other_labels.items())) or "none"),
        f"excluded later, four emotions but no words: {counted['emotions', 'empty']}",
    ]
    wavs = {turn.wav for turn in labelled}
    unlabelled = [p for p in layout.files(root) if p.suffix == ".wav" and p not in wavs]
    skipped = {**ignored, "wavs without a label": len(unlabelled), **layout.ignored(root)}
    lines += [f"not read, {kind}: {number}" for kind, number in skipped.items()]
    lines += [INCOMPLETE + line for line in missing]
    lines += [OTHER_COUNT + line for line in differences]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    errors.run(main)
