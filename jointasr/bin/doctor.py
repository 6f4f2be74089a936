"""Check that everything a run needs is there; exit code 1 if something is not."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from jointasr.doctor import checks
from jointasr.utils.errors import run

UNASKED = "-"


def main() -> None:
    args = _parse()
    results = []
    for check in _checks(args):
        print(check, flush=True)
        results.append(check)
    facts = {"CTC engine": args.ctc, "job backend": args.backend, "device": checks.device()}
    print("\n---- for a bug report ----")
    print(checks.bug_report(results, facts))
    print("--------------------------")
    failed = sum(not check.ok for check in results)
    if failed:
        print(f"error: {failed} of {len(results)} checks failed; each FAIL above says what to do")
        sys.exit(1)


def _checks(args: argparse.Namespace) -> Iterator[checks.Check]:
    yield checks.python()
    yield from checks.libraries()
    yield checks.gpus()
    engine = checks.engine(args.ctc)
    yield engine
    yield checks.disk(Path("."), args.disk)
    yield checks.backend(args.backend)
    if args.iemocap != UNASKED:
        sessions = [f"Session{k}" for k in range(1, 6)]
        yield checks.corpus("IEMOCAP", args.iemocap, sessions, args.allow_partial == "true")
    if args.musan != UNASKED:
        types = ["music", "speech", "noise"]
        yield checks.corpus("MUSAN", args.musan, types, args.allow_partial == "true")
    for option, models in (("encoder", args.encoder), ("bert", args.bert)):
        for model in models.splitlines():
            if model != UNASKED:
                yield checks.pretrained(option, model)
    if args.self_test == "true" and engine.ok:
        yield from checks.self_test(args.ctc)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--iemocap", default=UNASKED, help="folder of the corpus; - = not asked about")
    add("--musan", default=UNASKED, help="folder of the noises; - = not asked about")
    add("--allow-partial", choices=("true", "false"), default="false", help="of the corpora")
    add("--encoder", default="", help="folders or hub ids, one a line")
    add("--bert", default="", help="folders or hub ids, one a line")
    add("--ctc", choices=("k2", "torch"), default="k2", help="CTC engine of the confs")
    add("--backend", default="local", help="as in cmd.sh")
    add("--disk", type=float, default=3, metavar="GB", help="free space wanted here")
    add("--self-test", choices=("true", "false"), default="true", help="try the engine")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
