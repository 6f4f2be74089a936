"""Write RESULTS.md and report.html from results.json and the decode folders; print Table 1."""

import argparse
import os
from pathlib import Path

from jointasr.config import arguments, layout, scenarios
from jointasr.report import inputs
from jointasr.utils import files, locks, provenance
from jointasr.utils.errors import run
from jointasr.utils.project import ROOT


def main() -> None:
    args = _parse()
    names = ("method", "tests", "paper")
    options = {**{name: getattr(args, name) for name in names}, "recipe": recipe()}
    tables = [args.tests, *([args.paper] if args.paper else [])]
    made_from = inputs.digest(args.exp, options, tables)
    summary = inputs.read_summary(args.exp, made_from)
    if summary is None or os.environ.get("JOINTASR_ON_CHANGE") == "force":
        summary = make(args)
        inputs.record(args.exp, made_from, summary)
    else:
        print(f"{args.exp / inputs.OUTPUTS[0]}: up to date")
    print(summary, end="")


def make(args: argparse.Namespace) -> str:
    """Write the report; return its summary for the terminal."""
    from jointasr.config import conf_files
    from jointasr.report import html_page, markdown, report, report_data, table1
    from jointasr.scoring.results_json import Results, read

    tests = list(scenarios.read_tests(args.tests))
    results = Results(read(args.exp / layout.RESULTS), args.method)
    paper = table1.read_paper(args.paper) if args.paper else None
    origin = report_data.Origin(recipe(), provenance.commit())
    conf = conf_files.load_report("report.yaml")
    data = report_data.collect(results, tests, args.exp, conf, paper, origin)
    title, scope, sections = report.title(data), report.scope(data), report.sections(data)
    text, html = (kind.render(title, scope, sections) for kind in (markdown, html_page))
    with locks.held(args.exp / "RESULTS.md"):
        files.write_text(args.exp / "RESULTS.md", text)
        files.write_text(args.exp / "report.html", html)
    return report.terminal(data, args.exp)


def recipe() -> str:
    """Return the path of the recipe folder within the checkout, or its name if it is elsewhere."""
    here = Path.cwd().resolve()
    return str(here.relative_to(ROOT)) if here.is_relative_to(ROOT) else here.name


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="folder with results.json")
    arguments.add_tests(parser)
    arguments.add_method(parser)
    parser.add_argument("--paper", type=Path, help="table of published results to compare with")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
