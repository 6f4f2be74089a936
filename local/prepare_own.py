#!/usr/bin/env python3
"""Turn a corpus of your own, a CSV file or a Kaldi data dir, into what the recipe goes on from.

OUT gets each utterance as a wav of its own (mono, 16 kHz, 16 bit), lhotse manifests, wav.scp text
utt2spk spk2utt utt2emo utt2dur, and report.txt. What is wrong with the corpus is listed at once.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr import config, done, errors, files, progress, schema, wavio
from local import corpus

if TYPE_CHECKING:
    from local.own import rows
    from local.own.check import Utterance

CODE = "local/prepare_own.py"
LEFT_OUT = "LEFT OUT: "  # how the report begins such lines
SHOWN = 20  # problems on the screen; all are in a file
MEND = "\n  mend them, or leave such utterances out with --allow-partial true"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="CSV file, or Kaldi data dir")
    parser.add_argument("out", type=Path, help="data dir to make, data/local/corpus")
    parser.add_argument(
        "--conf", default="joint.yaml", help="its data: says letters, emotions, folds"
    )
    parser.add_argument("--set", default="", help="overrides of the conf: key=value, blank between")
    parser.add_argument("--nj", type=int, default=1, help="threads")
    parser.add_argument("--check", action="store_true", help="only list what is wrong")
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="go on without the utterances that something is wrong with; they are reported",
    )
    args = parser.parse_args()
    data = config.load(args.conf, Path(), config.split_overrides(args.set)).data
    if args.check:
        _, problems, report = examine(args.corpus, data)
        print("\n".join(report))
        refuse(problems, args.corpus, args.out, MEND)
        print(f"{args.corpus}: nothing is wrong")
        return
    options = {
        "corpus": str(args.corpus),
        "letters": data.letters,
        "emotions": data.emotions,
        "scheme": data.scheme,
        "dev": [data.dev, data.dev_fraction, data.seed],
        "audio": sizes(args.corpus),
        "partial": args.allow_partial,
    }
    progress.start_log()
    with done.step(args.out, CODE, options, tables(args.corpus)) as todo:
        if todo:
            prepare(args.corpus, args.out, data, args.nj, args.allow_partial)


def prepare(source: Path, out: Path, data: schema.Data, jobs: int, allow_partial: bool) -> None:
    """Check everything, then write. Raises DataError for what is wrong with the corpus."""
    from local.own import audio, check

    utterances, problems, report = examine(source, data)
    if problems and not allow_partial:
        refuse(problems, source, out, MEND)
    shutil.rmtree(out / "wav", ignore_errors=True)
    written = audio.write(utterances, out / "wav", jobs)
    if written.problems and not allow_partial:
        refuse(written.problems, source, out, MEND)
    kept = [one for one in utterances if one.id in written.files]
    refuse(check.whole(kept, data), source, out)
    _write_manifests(kept, written.files, out)
    report += [f"{written.clipped} utterances with samples cut off at full scale"]
    report += [LEFT_OUT + problem for problem in [*problems, *written.problems]]
    files.write_text(out / "report.txt", "\n".join(report) + "\n")
    print("\n".join(report))


def examine(source: Path, data: schema.Data) -> "tuple[list[Utterance], list[str], list[str]]":
    """The good utterances, what is wrong, and what the corpus comes down to, a line each."""
    from local.own import check, rows

    found = rows.read(source)
    utterances, problems = check.rows(found.rows, home_of(source), data)
    problems = found.problems + problems
    if not problems:
        problems += check.whole(utterances, data)
    return utterances, problems, _report(source, utterances, found, data)


def refuse(problems: Sequence[str], source: Path, out: Path, remedy: str = "") -> None:
    """Raise DataError for all problems; the first on the screen, all in a file beside ``out``."""
    if not problems:
        return
    path = out.with_name(f"{out.name}.problems.txt")
    files.write_text(path, "\n".join(problems) + "\n")
    shown = "\n  ".join(problems[:SHOWN])
    more = f"\n  ... all {len(problems)} are in {path}" if len(problems) > SHOWN else ""
    raise errors.DataError(
        f"{source}: {len(problems)} {'thing is' if len(problems) == 1 else 'things are'} wrong\n"
        f"  {shown}{more}{remedy}"
    )


def tables(source: Path) -> list[Path]:
    """The CSV file, or a data dir's files."""
    return [source] if source.is_file() else sorted(p for p in source.iterdir() if p.is_file())


def sizes(source: Path) -> str:
    """Digest of the audio files' names and sizes: tells that they were changed."""
    from local.own import rows

    paths = {home_of(source) / wavio.split(row.path)[0] for row in rows.read(source).rows}
    return corpus.digest((path for path in paths if path.is_file()), Path("/"))


def home_of(source: Path) -> Path:
    """What relative paths count from: the folder of the CSV file, or the data dir."""
    return (source if source.is_dir() else source.parent).absolute()


def _write_manifests(utterances: "Sequence[Utterance]", wavs: dict[str, Path], out: Path) -> None:
    headers = corpus.headers([wavs[one.id] for one in utterances])
    from lhotse import CutSet

    from jointasr import manifest
    from local import manifests

    cuts = []
    for one, header in zip(utterances, headers, strict=True):
        custom = {"emotion": one.emotion, "dialogue": one.dialogue, "session": one.group}
        custom |= {"style": one.style or None, "fold": one.fold or None}
        known = {key: value for key, value in custom.items() if value is not None}
        whole = manifests.recording(one.id, wavs[one.id], header)
        cuts.append(manifests.utterance(whole, one.text, one.speaker, known))
    manifest.write(CutSet.from_cuts(cuts), out)


def _report(
    source: Path, utterances: "Sequence[Utterance]", found: "rows.Corpus", data: schema.Data
) -> list[str]:
    hours = sum(one.end - one.start for one in utterances) / 3600
    labels = Counter(one.emotion or "(unknown)" for one in utterances)
    groups: dict[str, set[str]] = {}
    for one in utterances:
        groups.setdefault(one.speaker, set()).add(one.group)
    lines = [
        f"{source}: {len(utterances)} utterances, {hours:.2f} h, {len(groups)} speakers, "
        f"{len({one.group for one in utterances})} groups",
        "emotions: " + ", ".join(f"{label} {n}" for label, n in sorted(labels.items())),
        f"transcripts: {sum(bool(one.text) for one in utterances)} with words, "
        f"{sum(one.text == '' for one in utterances)} without, "
        f"{sum(one.text is None for one in utterances)} unknown",
    ]
    others = sorted(set(labels) - {*data.emotions, "(unknown)"})
    if others:
        lines.append(f"left out later, not in data.emotions: {', '.join(others)}")
    if found.unused:
        lines.append(f"columns not used: {', '.join(found.unused)}")
    if not any(row.speaker or row.group for row in found.rows):
        lines.append("no speakers, no groups: recordings are dealt into parts")
    several = sorted(speaker for speaker, of in groups.items() if len(of) > 1)
    if several:
        lines.append(
            f"{len(several)} speakers are in several groups, {several[0]} for one; data.scheme: "
            "session would train and test on them"
        )
    return lines


if __name__ == "__main__":
    errors.run(main)
