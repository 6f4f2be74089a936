#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Turn a release of IEMOCAP into lhotse manifests and a Kaldi data dir of all labelled turns.

OUT gets recordings, supervisions and cuts (jsonl.gz), wav.scp text utt2spk spk2utt utt2emo
utt2dur, and report.txt: the counts, and what was left out and why. The corpus is only read.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jointasr.utils import done, errors, files
from local import corpus
from local.iemocap import counts, layout, turns

PARTIAL = "--allow-partial true goes on with what is there"
INCOMPLETE, OTHER = "INCOMPLETE: ", "OTHER COUNT: "  # how the report begins such lines
CODE = "local/prepare_iemocap.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder that holds Session1 ... Session5")
    parser.add_argument("out", type=Path, help="data dir to make, e.g. data/local/iemocap")
    parser.add_argument("--counts", type=Path, required=True, help="what it must hold (tsv)")
    parser.add_argument(
        "--write-counts", action="store_true", help="write COUNTS from this corpus and do no more"
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="go on with an incomplete release or other counts; both are reported",
    )
    args = parser.parse_args()
    corpus.outside(args.out, args.corpus)
    if args.write_counts:
        found, _ = turns.read(layout.dialogues(args.corpus)[0])
        counts.write(args.counts, counts.count(found), "made by prepare_iemocap.py --write-counts")
        return
    layout.dialogues(args.corpus)  # a wrong path is told before its files are looked at
    options = {
        "corpus": args.corpus,
        "files": corpus.digest(layout.files(args.corpus), args.corpus),
    }
    with done.step(args.out, CODE, options, [args.counts]) as todo:
        if todo:
            prepare(args.corpus, args.out, args.counts, args.allow_partial)
    if not (todo or args.allow_partial):
        still_whole(args.out / "report.txt")


def prepare(root: Path, out: Path, wanted: Path, allow_partial: bool) -> None:
    """Check everything, then write. Raises DataError on the first kind of problem met."""
    dialogues, missing = layout.dialogues(root)
    if missing and not allow_partial:
        hint = f"{root}: the release is incomplete; {PARTIAL}"
        raise errors.DataError("\n  ".join([hint, *missing]))
    found, left = turns.read(dialogues)
    counted = counts.count(found)
    other = counts.differences(counted, counts.read(wanted))
    if other and not allow_partial:
        lines = [f"{root}: {line} ({wanted})" for line in other]
        corpus.refuse(lines, f"counts of {root} are not those of {wanted}", PARTIAL)
    _write(found, out)
    report = _report(root, found, counted, left, missing, other)
    files.write_text(out / "report.txt", report)
    print(report, end="")


def still_whole(report: Path) -> None:
    """Raise DataError where an earlier run was allowed to go on with less: this one is not."""
    for line in files.read_text(report).splitlines():
        if line.startswith((INCOMPLETE, OTHER)):
            raise errors.DataError(f"{report}: {line}; {PARTIAL}")


def _write(found: Sequence[turns.IemocapTurn], out: Path) -> None:
    headers = corpus.headers([turn.wav for turn in found])
    from lhotse import CutSet

    from jointasr.data import manifest
    from local import manifests

    cuts = []
    for turn, header in zip(found, headers, strict=True):
        custom = {
            "label": turn.label,
            "emotion": turn.emotion,
            "dialogue": turn.dialogue,
            "session": turn.session,
            "style": turn.style,
        }
        whole = manifests.recording(turn.id, turn.wav, header)
        cuts.append(
            manifests.utterance(whole, turn.text, turn.speaker, custom, turn.gender, "English")
        )
    manifest.write(CutSet.from_cuts(cuts), out)


def _report(
    root: Path,
    found: list[turns.IemocapTurn],
    counted: counts.Counts,
    left: Counter[str],
    missing: list[str],
    other: list[str],
) -> str:
    dropped = Counter(turn.label for turn in found if turn.emotion not in turns.FOUR)
    lines = [
        f"{root}: {counted['labelled', 'turns']} labelled turns in "
        f"{counted['labelled', 'dialogues']} dialogues",
        f"{counted['emotions', 'turns']} have one of the four emotions "
        f"({counted['emotions', 'improvised']} improvised, "
        f"{counted['emotions', 'scripted']} scripted)",
        f"{counted['speech', 'turns']} of these have words ({counted['speech', 'words']} words)",
        "left out later, other labels: "
        + (", ".join(f"{label} {n}" for label, n in sorted(dropped.items())) or "none"),
        f"left out later, four emotions but no words: {counted['emotions', 'empty']}",
    ]
    wavs = {turn.wav for turn in found}
    beside = [p for p in layout.files(root) if p.suffix == ".wav" and p not in wavs]
    skipped = {**left, "wavs without a label": len(beside), **layout.ignored(root)}
    lines += [f"not read, {kind}: {number}" for kind, number in skipped.items()]
    lines += [INCOMPLETE + line for line in missing]
    lines += [OTHER + line for line in other]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    errors.run(main)
