"""Time training and decoding on this machine, on audio of IEMOCAP's shape: a table, no verdict."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointasr.config import conf_files
from jointasr.utils import files
from jointasr.utils.errors import run

if TYPE_CHECKING:
    from jointasr.bench.bench import Measurements

SHAPES = {
    "tiny": ("wav2vec2-tiny", "bert-tiny"),
    "base": ("wav2vec2-base", "bert-base"),
    "large": ("wav2vec2-large", "bert-base"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser)
    parser.add_argument("--shape", choices=SHAPES, help="models of random weights")
    parser.add_argument("--seconds", default="100", help="of audio in a batch; several with blanks")
    parser.add_argument("--steps", type=int, default=10, help="of each timing")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    if args.json:
        files.write_json(args.json, found)


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The figures of each conf and batch size, printed as they come."""
    from jointasr.bench import bench, corpus, random_models
    from jointasr.utils.progress import start_log

    start_log(quiet=True)
    overrides = conf_files.split_overrides(args.set)
    if args.shape:
        encoder, bert = (random_models.write(name, folder / name) for name in SHAPES[args.shape])
        overrides += [f"encoder.model={encoder}", f"bert.model={bert}"]
    limits = [float(seconds) for seconds in args.seconds.split()]
    cuts = corpus.write(folder / "corpus", max(600.0, 3 * args.steps * max(limits)))
    print(f"{bench.machine()}; {sum(cut.duration for cut in cuts) / 60:.0f} minutes of audio")
    found: list[dict[str, Any]] = []
    hours = {limit: 0.0 for limit in limits}
    for path in args.confs:
        for limit in limits:
            conf = conf_files.load(path, Path(), [*overrides, f"batch.max_duration={limit:g}"])
            out = folder / f"{len(found)}"
            timed = bench.TrainingBench(conf, cuts, list(corpus.EMOTIONS), out)
            one = timed.measure(args.steps)
            projected = one.hours(conf.train.epochs)
            hours[limit] += projected
            print(f"\n{path}, engine {conf.ctc}, batches of {limit:g} s\n{text(one)}")
            print(f"  its {bench.MODELS} models of Table 1: {projected:.1f} hours")
            found.append({"conf": path, "seconds": limit, "hours": projected, **one._asdict()})
    print(compared(found))
    for limit, total in hours.items():
        print(f"\nTable 1 with these systems, batches of {limit:g} s: {total:.1f} hours")
    return found


def compared(found: list[dict[str, Any]]) -> str:
    """What joint costs beside asr and ser, where all three were measured."""
    lines = []
    for limit in dict.fromkeys(one["seconds"] for one in found):
        rates = {one["kind"]: one for one in found if one["seconds"] == limit}
        if rates.keys() != {"asr", "ser", "joint"} or len(found) % 3:
            continue
        both = sum(1 / rates[kind]["decoding"] for kind in ("asr", "ser"))
        once = 1 / rates["joint"]["decoding"] / both
        train = rates["asr"]["rate"] / rates["joint"]["rate"]
        lines.append(
            f"\nbatches of {limit:g} s: one joint recognition takes {once:.2f} of the time of "
            f"asr's and ser's together, joint training {train:.2f} of asr's"
        )
    return "".join(lines)


def text(one: "Measurements") -> str:
    """The figures as lines."""
    parts = ", ".join(f"{name} {100 * share:.1f}" for name, share in one.parts.items())
    losses = "".join(
        f"  CTC loss and its gradient, engine {engine}: {100 * share:.1f} % of a step\n"
        for engine, share in one.loss.items()
    )
    waits = "" if one.waits is None else f", the host waits {one.waits} times"
    return (
        f"  training {one.rate:.1f} s of audio a second, a step {one.step:.3f} s{waits}\n"
        f"  per cent of a step: {parts}\n"
        f"  padding {100 * one.padding:.1f} %, model FLOPs utilisation "
        f"{100 * one.utilisation:.0f} %, peak memory {one.memory:.2f} GiB\n"
        f"{losses}"
        f"  decoding {one.decoding:.1f} s of audio a second"
    )


if __name__ == "__main__":
    run(main)
