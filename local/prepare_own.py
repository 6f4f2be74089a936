#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
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

from jointasr.config import conf_files, schema
from jointasr.data import wav_scp
from jointasr.utils import done, errors, files, progress
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
    parser.add_argument("confs", nargs="+", help="their data: says letters, emotions, folds")
    parser.add_argument("--set", default="", help="overrides: key=value, blank between")
    parser.add_argument("--nj", type=int, default=1, help="threads")
    parser.add_argument("--check", action="store_true", help="only list what is wrong")
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="go on without the utterances that something is wrong with; they are reported",
    )
    args = parser.parse_args()
    datas = [conf.data for conf in conf_files.load_all(args.confs, args.set).values()]
    utterances, problems, report = examine(args.corpus, args.out, datas)
    if args.check:
        print("\n".join(report))
    wrong = ([] if args.allow_partial else problems) + whole(utterances, datas)
    refuse(wrong, args.corpus, args.out, "" if args.allow_partial else MEND)
    if args.check:
        left_out = f"{len(problems)} lines above are of what is left out; " if problems else ""
        print("\n".join([*problems, f"{args.corpus}: {left_out}nothing else is wrong"]))
        return
    options = {
        "corpus": str(args.corpus),
        "letters": datas[0].letters,
        "audio": corpus.digest({Path(wav_scp.split(one.path)[0]) for one in utterances}, Path("/")),
        "partial": args.allow_partial,
    }
    progress.start_log()
    with done.step(args.out, CODE, options, tables(args.corpus)) as todo:
        if todo:
            damaged = prepare(utterances, args.out, args.nj, args.allow_partial, args.corpus)
            report += [LEFT_OUT + problem for problem in [*problems, *damaged]]
            files.write_text(args.out / "report.txt", "\n".join(report) + "\n")
            print("\n".join(report))


def prepare(
    utterances: "Sequence[Utterance]", out: Path, jobs: int, allow_partial: bool, source: Path
) -> list[str]:
    """Write audio, manifests and tables of ``utterances``; what had to be left out, its audio being
    damaged. Raises DataError for that where it is not allowed."""
    from local.own import audio

    shutil.rmtree(out / "wav", ignore_errors=True)
    written = audio.write(utterances, out / "wav", jobs)
    refuse([] if allow_partial else written.problems, source, out, MEND)
    _write_manifests([one for one in utterances if one.id in written.files], written.files, out)
    if written.clipped:
        print(f"{written.clipped} utterances have samples cut off at full scale")
    return written.problems


def examine(
    source: Path, out: Path, datas: Sequence[schema.Data]
) -> "tuple[list[Utterance], list[str], list[str]]":
    """The good utterances, what is wrong with others, and what the corpus comes down to, a line
    each. Raises DataError where the corpus lies in ``out``, which is made anew."""
    from local.own import check, rows

    home = (source if source.is_dir() else source.parent).absolute()
    found = rows.read(source)
    utterances, problems = check.rows(found.rows, home, datas[0].letters)
    inside = [one.path for one in utterances if out.resolve() in Path(one.path).resolve().parents]
    if inside or out.resolve() in (source.resolve(), *source.resolve().parents):
        raise errors.DataError(
            f"{inside[0] if inside else source}: inside of {out}, which is made anew"
        )
    report = _report(source, utterances, found, datas)
    return utterances, found.problems + problems, report


def whole(utterances: "Sequence[Utterance]", datas: Sequence[schema.Data]) -> list[str]:
    """What is wrong with the corpus as a whole, for any of the confs."""
    from local.own import check

    return list(dict.fromkeys(line for data in datas for line in check.whole(utterances, data)))


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


def _write_manifests(utterances: "Sequence[Utterance]", wavs: dict[str, Path], out: Path) -> None:
    headers = corpus.headers([wavs[one.id] for one in utterances])
    from lhotse import CutSet

    from jointasr.data import manifest
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
    source: Path,
    utterances: "Sequence[Utterance]",
    found: "rows.Corpus",
    datas: Sequence[schema.Data],
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
    others = sorted(set(labels).difference(["(unknown)"], *(data.emotions for data in datas)))
    if others:
        lines.append(f"left out later, not in data.emotions: {', '.join(others)}")
    if found.unused:
        lines.append(f"columns not used: {', '.join(found.unused)}")
    if not any(row.speaker or row.group for row in found.rows):
        lines.append("no speakers, no groups: dialogues are dealt into parts")
    several = sorted(speaker for speaker, of in groups.items() if len(of) > 1)
    if several:
        lines.append(
            f"{len(several)} speakers are in several groups, {several[0]} for one; data.scheme: "
            "session would train and test on them"
        )
    return lines


if __name__ == "__main__":
    errors.run(main)
