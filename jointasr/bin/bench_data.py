"""Time reading, mixing and archiving on one core.

Mixing is repeated with twice the speech, to show how time and memory grow.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="minutes of speech")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)  # corpus to mix
    args = parser.parse_args()

    from jointasr.bench import audio_io, corpus

    if args.child:
        seconds, audio = audio_io.time_mixing(args.child)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([seconds, audio, peak]))
        return
    with tempfile.TemporaryDirectory() as name:
        cuts = corpus.write(Path(name) / "reading", 60 * args.minutes)
        times = audio_io.reading(cuts, Path(name) / "reading" / "wavs")
    print(
        f"reading an utterance to a float tensor: archive {times.archive:.0f} us, single wav file "
        f"{times.wav:.0f} us, ratio {times.wav / times.archive:.2f}"
    )
    once, twice = (mixing(factor * args.minutes) for factor in (1, 2))
    for seconds, audio, peak in (once, twice):
        print(
            f"mixing and archiving {audio / 3600:.2f} h in eight sets: {seconds:.1f} s, "
            f"{audio / seconds:.0f} x real time on one core, peak memory {peak:.0f} MiB"
        )
    time, memory = twice[0] / once[0], twice[2] / once[2]
    print(f"twice the corpus: {time:.2f} x the time, {memory:.2f} x the memory")


def mixing(minutes: float) -> tuple[float, float, float]:
    """Mix and archive in a new process; return seconds, seconds of audio and peak MiB."""
    from jointasr.bench import audio_io

    with tempfile.TemporaryDirectory() as name:
        audio_io.prepare(Path(name), 60 * minutes)
        command = [sys.executable, "-m", "jointasr.bin.bench_data", "--child", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, audio, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, audio, peak


if __name__ == "__main__":
    run(main)
