"""Measure training and decoding on this machine, on audio with IEMOCAP's durations."""

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
    parser.add_argument(
        "--shape", choices=SHAPES, help="size of the models, which have random weights"
    )
    parser.add_argument(
        "--seconds", default="100", help="seconds of audio per batch, separated by spaces"
    )
    parser.add_argument("--steps", type=int, default=10, help="training steps per measurement")
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args, Path(folder))
    if args.json:
        files.write_json(args.json, rows)


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure each conf and batch size; print and return the measurements."""
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
    rows: list[dict[str, Any]] = []
    hours = {limit: 0.0 for limit in limits}
    for path in args.confs:
        for limit in limits:
            conf = conf_files.load(path, Path(), [*overrides, f"batch.max_duration={limit:g}"])
            out = folder / f"{len(rows)}"
            training_bench = bench.TrainingBench(conf, cuts, list(corpus.EMOTIONS), out)
            measured = training_bench.measure(args.steps)
            training_bench.close()
            projected = measured.hours(conf.train.epochs)
            hours[limit] += projected
            print(f"\n{path}, engine {conf.ctc}, batches of {limit:g} s\n{text(measured)}")
            print(f"  its {bench.NUM_MODELS} models of Table 1: {projected:.1f} hours")
            rows.append({"conf": path, "seconds": limit, "hours": projected, **measured._asdict()})
    print(compare_joint(rows))
    for limit, total in hours.items():
        print(f"\nTable 1 with these systems, batches of {limit:g} s: {total:.1f} hours")
    return rows


def compare_joint(rows: list[dict[str, Any]]) -> str:
    """Compare joint with asr and ser, if all three were measured."""
    lines = []
    for limit in dict.fromkeys(row["seconds"] for row in rows):
        rates = {row["kind"]: row for row in rows if row["seconds"] == limit}
        if rates.keys() != {"asr", "ser", "joint"} or len(rows) % 3:
            continue
        both = sum(1 / rates[kind]["decoding"] for kind in ("asr", "ser"))
        once = 1 / rates["joint"]["decoding"] / both
        train = rates["asr"]["rate"] / rates["joint"]["rate"]
        lines.append(
            f"\nbatches of {limit:g} s: one joint recognition takes {once:.2f} of the time of "
            f"asr's and ser's together, joint training {train:.2f} of asr's"
        )
    return "".join(lines)


def text(measured: "Measurements") -> str:
    """Return the measurements as lines of text."""
    parts = ", ".join(f"{name} {100 * share:.1f}" for name, share in measured.parts.items())
    losses = "".join(
        f"  CTC loss and its gradient, engine {engine}: {100 * share:.1f} % of a step\n"
        for engine, share in measured.loss.items()
    )
    waits = "" if measured.waits is None else f", {measured.waits} host-GPU synchronisations"
    return (
        f"  training {measured.rate:.1f} s of audio per second, "
        f"{measured.step:.3f} s per step{waits}\n"
        f"  per cent of a step: {parts}\n"
        f"  padding {100 * measured.padding:.1f} %, model FLOPs utilisation "
        f"{100 * measured.utilisation:.0f} %, peak memory {measured.memory:.2f} GiB\n"
        f"{losses}"
        f"  decoding {measured.decoding:.1f} s of audio per second"
    )


if __name__ == "__main__":
    run(main)
