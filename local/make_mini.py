#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Make the synthetic corpora of egs/mini: speech with emotions, noises, pretraining speech.

OUT/iemocap and OUT/musan have the layouts of the real corpora, with their irregularities.
OUT/pretrain holds other voices: wav/, transcripts.tsv and text.txt (sentences without sound).
OUT/truth.tsv says how each turn of OUT/iemocap was meant to sound. The same options give the same
bytes. Speech comes from espeak-ng through the espeakng-loader package.
"""

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

from jointasr.utils import done, errors, processes
from local.mini import iemocap, musan, plan, pretrain, voices

CODE = "local/make_mini.py"
Task = tuple[Callable[..., Any], tuple[Any, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to make, e.g. data/corpora")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the turns, 0..1")
    parser.add_argument("--jobs", type=int, default=2, help="processes; no effect on the result")
    args = parser.parse_args()
    if not 0 < args.scale <= 1:
        raise errors.DataError(f"--scale {args.scale}: a share above 0 and up to 1 is needed")
    with done.step(args.out, CODE, {"seed": args.seed, "scale": args.scale}) as todo:
        if todo:
            make(args.out, args.seed, args.scale, args.jobs)


def make(out: Path, seed: int, scale: float, jobs: int) -> None:
    """Write all corpora below ``out`` (empty or missing, or left by a run that was killed)."""
    start = time.monotonic()
    turns = plan.plan(seed, scale)
    by_speaker = {
        speaker: [turn for turn in turns if turn.speaker == speaker] for speaker in voices.ACTORS
    }
    acting: list[Task] = [
        (iemocap.speak_turns, (seed, out / "iemocap", speaker, own))
        for speaker, own in by_speaker.items()
    ]
    reading: list[Task] = [
        (pretrain.read_aloud, (seed, out / "pretrain", range(first, first + 4), scale))
        for first in range(0, len(voices.READERS), 4)
    ]
    noises: list[Task] = [
        (musan.write_files, (seed, out / "musan", kind, scale, part, 3))
        for kind in musan.FILES
        for part in range(3)
    ]
    results = run_jobs([*acting, *reading, *noises], jobs)
    durations = {id: length for part in results[: len(acting)] for id, length in part.items()}
    iemocap.write_texts(seed, out / "iemocap", turns, durations)
    musan.write_texts(out / "musan", scale)
    rows = [row for part in results[len(acting) : len(acting) + len(reading)] for row in part]
    texts = [row.split("\t")[-1].replace(",", "") for row in rows] + pretrain.texts(seed, scale)
    _write(out / "pretrain" / "transcripts.tsv", ["\t".join(pretrain.COLUMNS), *rows])
    _write(out / "pretrain" / "text.txt", texts)
    (out / "truth.tsv").write_text(iemocap.truth_table(turns), encoding="utf-8")
    files = sum(len(musan.names(kind, scale)) for kind in musan.FILES)
    print(
        f"{out}: {len(turns)} turns of {len(by_speaker)} speakers, {len(rows)} utterances of "
        f"{len(voices.READERS)} readers, {files} noise files, "
        f"in {time.monotonic() - start:.0f} s"
    )


def run_jobs(jobs: Sequence[Task], processes: int) -> list[Any]:
    """Each job in a fresh process (the synthesiser remembers what it said); results in order.

    Raises DataError when one of them is killed: multiprocessing's own pool would wait for ever.
    """
    context = multiprocessing.get_context("spawn")
    waiting, results = list(enumerate(jobs))[::-1], [None] * len(jobs)
    running: dict[Any, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                number, job = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(sender, os.getpid(), *job))
                process.start()
                sender.close()  # ours: so that the end of the process is the end of the pipe
                running[receiver] = number, process
            ready: list[Any] = connection.wait(list(running))
            for pipe in ready:
                number, process = running[pipe]
                try:
                    results[number] = pipe.recv()
                except EOFError:
                    process.join()
                    raise errors.DataError(
                        f"process {number + 1} of {len(jobs)} failed or was killed (exit code "
                        f"{process.exitcode}); run the same again"
                    ) from None
                del running[pipe]
                process.join()
    finally:
        for _, process in running.values():
            process.kill()
    return results


def _work(
    sender: Any, parent: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    """Send back what ``function`` returns; ends with its parent, whose lock it works under."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent answers it, and ends us
    processes.end_with(parent)
    sender.send(function(*arguments))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    errors.run(main)
