#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Prepare a custom corpus, given as a CSV file or a Kaldi data dir.

Writes to OUT: one wav per utterance (mono, 16 kHz, 16 bit), lhotse manifests, wav.scp text utt2spk
spk2utt utt2emo utt2dur, and report.txt. All problems of the corpus are listed at once.
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
    from local.own import tables
    from local.own.check import Utterance

CODE = "local/prepare_own.py"
UNKNOWN = "(unknown)"
EXCLUDED = "EXCLUDED: "
"""prefix of lines in the report"""
MAX_SHOWN = 20
"""maximum number of problems in the error message; all are written to a file"""
REMEDY = "\n  fix them, or exclude these utterances with --allow-partial true"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="CSV file, or Kaldi data dir")
    parser.add_argument("out", type=Path, help="data dir to write, data/local/corpus")
    parser.add_argument(
        "confs", nargs="+", help="confs; their data section gives letters, emotions and folds"
    )
    parser.add_argument("--set", default="", help="overrides, separated by blanks: key=value")
    parser.add_argument("--nj", type=int, default=1, help="threads")
    parser.add_argument("--check", action="store_true", help="only list the problems")
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="exclude utterances with problems; they are reported",
    )
    args = parser.parse_args()
    data_confs = [conf.data for conf in conf_files.load_all(args.confs, args.set).values()]
    utterances, problems, report = examine(args.corpus, args.out, data_confs)
    if args.check:
        print("\n".join(report))
    fatal = ([] if args.allow_partial else problems) + check_corpus(utterances, data_confs)
    raise_problems(fatal, args.corpus, args.out, "" if args.allow_partial else REMEDY)
    if args.check:
        excluded = f"{len(problems)} problems above are excluded; " if problems else ""
        print("\n".join([*problems, f"{args.corpus}: {excluded}no other problems"]))
        return
    options = {
        "corpus": str(args.corpus),
        "letters": data_confs[0].letters,
        "audio": corpus.digest({Path(wav_scp.split(u.path)[0]) for u in utterances}, Path("/")),
        "partial": args.allow_partial,
    }
    progress.start_log()
    with done.step(args.out, CODE, options, input_files(args.corpus)) as todo:
        if todo:
            damaged = prepare(utterances, args.out, args.nj, args.allow_partial, args.corpus)
            report += [EXCLUDED + problem for problem in [*problems, *damaged]]
            files.write_text(args.out / "report.txt", "\n".join(report) + "\n")
            print("\n".join(report))


def prepare(
    utterances: "Sequence[Utterance]", out: Path, jobs: int, allow_partial: bool, source: Path
) -> list[str]:
    """Write audio, manifests and tables; return the problems of utterances with damaged audio.

    Raises DataError for these problems unless ``allow_partial`` is set.
    """
    from local.own import audio

    shutil.rmtree(out / "wav", ignore_errors=True)
    written = audio.write(utterances, out / "wav", jobs)
    raise_problems([] if allow_partial else written.problems, source, out, REMEDY)
    _write_manifests([u for u in utterances if u.id in written.files], written.files, out)
    if written.clipped:
        print(f"{written.clipped} utterances were clipped at full scale")
    return written.problems


def examine(
    source: Path, out: Path, data_confs: Sequence[schema.Data]
) -> "tuple[list[Utterance], list[str], list[str]]":
    """Return the valid utterances, the problems of the others, and the lines of the report.

    Raises DataError if the corpus is inside ``out``, which is rebuilt.
    """
    from local.own import check, tables

    root = (source if source.is_dir() else source.parent).absolute()
    table = tables.read(source)
    utterances, problems = check.check_rows(table.rows, root, data_confs[0].letters)
    inside = [u.path for u in utterances if out.resolve() in Path(u.path).resolve().parents]
    if inside or out.resolve() in (source.resolve(), *source.resolve().parents):
        raise errors.DataError(
            f"{inside[0] if inside else source}: is inside {out}, which is rebuilt"
        )
    report = _report(source, utterances, table, data_confs)
    return utterances, table.problems + problems, report


def check_corpus(utterances: "Sequence[Utterance]", data_confs: Sequence[schema.Data]) -> list[str]:
    """Check emotions and folds of the corpus for all confs; return the problems."""
    from local.own import check

    problems = (line for conf in data_confs for line in check.check_corpus(utterances, conf))
    return list(dict.fromkeys(problems))


def raise_problems(problems: Sequence[str], source: Path, out: Path, remedy: str = "") -> None:
    """Raise DataError with the first problems, if any; write all to <out>.problems.txt."""
    if not problems:
        return
    path = out.with_name(f"{out.name}.problems.txt")
    files.write_text(path, "\n".join(problems) + "\n")
    shown = "\n  ".join(problems[:MAX_SHOWN])
    more = f"\n  ... all {len(problems)} are in {path}" if len(problems) > MAX_SHOWN else ""
    raise errors.DataError(
        f"{source}: {len(problems)} {'problem' if len(problems) == 1 else 'problems'}\n"
        f"  {shown}{more}{remedy}"
    )


def input_files(source: Path) -> list[Path]:
    """Return the CSV file, or the files of the data dir."""
    return [source] if source.is_file() else sorted(p for p in source.iterdir() if p.is_file())


def _write_manifests(utterances: "Sequence[Utterance]", wavs: dict[str, Path], out: Path) -> None:
    headers = corpus.read_headers([wavs[utterance.id] for utterance in utterances])
    from lhotse import CutSet

    from jointasr.data import manifest
    from local import manifests

    cuts = []
    for u, header in zip(utterances, headers, strict=True):
        custom = {"emotion": u.emotion, "dialogue": u.dialogue, "session": u.group}
        custom |= {"style": u.style or None, "fold": u.fold or None}
        known = {key: value for key, value in custom.items() if value is not None}
        recording = manifests.recording(u.id, wavs[u.id], header)
        cuts.append(manifests.utterance(recording, u.text, u.speaker, known))
    manifest.write(CutSet.from_cuts(cuts), out)


def _report(
    source: Path,
    utterances: "Sequence[Utterance]",
    table: "tables.CorpusTable",
    data_confs: Sequence[schema.Data],
) -> list[str]:
    hours = sum(u.end - u.start for u in utterances) / 3600
    labels = Counter(u.emotion or UNKNOWN for u in utterances)
    groups: dict[str, set[str]] = {}
    for u in utterances:
        groups.setdefault(u.speaker, set()).add(u.group)
    lines = [
        f"{source}: {len(utterances)} utterances, {hours:.2f} h, {len(groups)} speakers, "
        f"{len({u.group for u in utterances})} groups",
        "emotions: " + ", ".join(f"{label} {n}" for label, n in sorted(labels.items())),
        f"transcripts: {sum(bool(u.text) for u in utterances)} with words, "
        f"{sum(u.text == '' for u in utterances)} without, "
        f"{sum(u.text is None for u in utterances)} unknown",
    ]
    others = sorted(set(labels).difference([UNKNOWN], *(conf.emotions for conf in data_confs)))
    if others:
        lines.append(f"excluded later, not in data.emotions: {', '.join(others)}")
    if table.unused_columns:
        lines.append(f"columns not used: {', '.join(table.unused_columns)}")
    if not any(row.speaker or row.group for row in table.rows):
        lines.append("no speakers, no groups: dialogues are distributed over parts")
    several = sorted(speaker for speaker, names in groups.items() if len(names) > 1)
    if several:
        lines.append(
            f"{len(several)} speakers are in several groups, e.g. {several[0]}; with data.scheme: "
            "session, they would be in train and test"
        )
    return lines


if __name__ == "__main__":
    errors.run(main)
