"""Check the environment, the machine, corpora and models; exit code 1 if a check fails."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from jointasr.doctor import environment, inputs, machine
from jointasr.doctor.result import CheckResult
from jointasr.utils.errors import run

UNCHECKED = "-"


def main() -> None:
    args = _parse()
    results = []
    for result in _checks(args):
        print(result, flush=True)
        results.append(result)
    facts = {"CTC engine": args.ctc, "job backend": args.backend, "device": machine.device()}
    print("\n---- for a bug report ----")
    print(environment.bug_report(results, facts))
    print("--------------------------")
    failed = sum(not result.ok for result in results)
    if failed:
        print(
            f"error: {failed} of {len(results)} checks failed; see the fix in each FAIL line above"
        )
        sys.exit(1)


def _checks(args: argparse.Namespace) -> Iterator[CheckResult]:
    yield environment.python()
    yield from environment.libraries()
    yield machine.gpus()
    engine = machine.engine(args.ctc)
    yield engine
    yield machine.disk(Path("."), args.disk)
    yield machine.job_backend(args.backend)
    if args.iemocap != UNCHECKED:
        sessions = [f"Session{k}" for k in range(1, 6)]
        yield inputs.corpus("IEMOCAP", args.iemocap, sessions, args.allow_partial == "true")
    if args.musan != UNCHECKED:
        types = ["music", "speech", "noise"]
        yield inputs.corpus("MUSAN", args.musan, types, args.allow_partial == "true")
    for option, models in (("encoder", args.encoder), ("bert", args.bert)):
        for model in models.splitlines():
            if model != UNCHECKED:
                yield inputs.pretrained(option, model)
    if args.self_test == "true" and engine.ok:
        yield from machine.self_test(args.ctc)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--iemocap", default=UNCHECKED, help="folder of IEMOCAP; -: skip the check")
    add("--musan", default=UNCHECKED, help="folder of MUSAN; -: skip the check")
    add(
        "--allow-partial",
        choices=("true", "false"),
        default="false",
        help="accept incomplete corpora",
    )
    add("--encoder", default="", help="pretrained encoders: folders or hub ids, one per line")
    add("--bert", default="", help="pretrained text encoders: folders or hub ids, one per line")
    add("--ctc", choices=("k2", "torch"), default="k2", help="CTC engine of the confs")
    add("--backend", default="local", help="cmd_backend of cmd.sh: local or slurm")
    add(
        "--disk",
        type=float,
        default=3,
        metavar="GB",
        help="free space required in the current folder",
    )
    add("--self-test", choices=("true", "false"), default="true", help="test the CTC engine")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
