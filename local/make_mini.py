#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Synthesize the corpora of egs/mini: speech with emotions, noises, pretraining speech.

OUT/iemocap and OUT/musan have the layouts of the real corpora, with their irregularities.
OUT/pretrain, with other voices, has wav/, transcripts.tsv and text.txt (sentences without audio).
OUT/truth.tsv gives the style of each utterance of OUT/iemocap. The same options give the same
bytes. Speech is synthesized by espeak-ng, from the espeakng-loader package.
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
    parser.add_argument("out", type=Path, help="folder to write, e.g. data/corpora")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the utterances, 0..1")
    parser.add_argument(
        "--jobs", type=int, default=2, help="number of processes; does not change the result"
    )
    args = parser.parse_args()
    if not 0 < args.scale <= 1:
        raise errors.DataError(f"--scale {args.scale}: must be above 0 and at most 1")
    with done.step(args.out, CODE, {"seed": args.seed, "scale": args.scale}) as todo:
        if todo:
            make(args.out, args.seed, args.scale, args.jobs)


def make(out: Path, seed: int, scale: float, jobs: int) -> None:
    """Write all corpora to ``out``, which may contain files of an interrupted run."""
    start = time.monotonic()
    turns = plan.plan(seed, scale)
    by_speaker = {
        speaker: [turn for turn in turns if turn.speaker == speaker] for speaker in voices.ACTORS
    }
    actor_tasks: list[Task] = [
        (iemocap.write_audio, (seed, out / "iemocap", speaker, speaker_turns))
        for speaker, speaker_turns in by_speaker.items()
    ]
    reader_tasks: list[Task] = [
        (pretrain.write_audio, (seed, out / "pretrain", range(first, first + 4), scale))
        for first in range(0, len(voices.READERS), 4)
    ]
    noise_tasks: list[Task] = [
        (musan.write_files, (seed, out / "musan", kind, scale, part, 3))
        for kind in musan.FILES
        for part in range(3)
    ]
    results = run_tasks([*actor_tasks, *reader_tasks, *noise_tasks], jobs)
    durations = {id: length for part in results[: len(actor_tasks)] for id, length in part.items()}
    iemocap.write_texts(seed, out / "iemocap", turns, durations)
    musan.write_texts(out / "musan", scale)
    reader_results = results[len(actor_tasks) : len(actor_tasks) + len(reader_tasks)]
    rows = [row for part in reader_results for row in part]
    texts = [row.split("\t")[-1].replace(",", "") for row in rows] + pretrain.texts(seed, scale)
    _write(out / "pretrain" / "transcripts.tsv", ["\t".join(pretrain.COLUMNS), *rows])
    _write(out / "pretrain" / "text.txt", texts)
    (out / "truth.tsv").write_text(iemocap.truth_table(turns), encoding="utf-8")
    files = sum(len(musan.names(kind, scale)) for kind in musan.FILES)
    print(
        f"{out}: {len(turns)} utterances of {len(by_speaker)} speakers, {len(rows)} utterances of "
        f"{len(voices.READERS)} readers, {files} noise files, "
        f"in {time.monotonic() - start:.0f} s"
    )


def run_tasks(tasks: Sequence[Task], num_processes: int) -> list[Any]:
    """Run each task in a new process (see :mod:`local.mini.voices`); return the results in order.

    Raises DataError if a process is killed; multiprocessing's pool would wait forever.
    """
    context = multiprocessing.get_context("spawn")
    waiting, results = list(enumerate(tasks))[::-1], [None] * len(tasks)
    running: dict[Any, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < num_processes:
                number, task = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(sender, os.getpid(), *task))
                process.start()
                sender.close()  # the pipe is closed when the process ends
                running[receiver] = number, process
            ready: list[Any] = connection.wait(list(running))
            for pipe in ready:
                number, process = running[pipe]
                try:
                    results[number] = pipe.recv()
                except EOFError:
                    process.join()
                    raise errors.DataError(
                        f"process {number + 1} of {len(tasks)} failed or was killed (exit code "
                        f"{process.exitcode}); run the same command again"
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
    """Run ``function`` and send its result; end with the parent process, which holds the lock."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    processes.exit_with_parent(parent)
    sender.send(function(*arguments))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    errors.run(main)
