"""Write RESULTS.md and report.html from results.json and the decode folders; print Table 1."""

import argparse
from pathlib import Path

from jointasr.config import layout, scenarios
from jointasr.utils import files, locks, provenance
from jointasr.utils.errors import run
from jointasr.utils.project import ROOT


def main() -> None:
    args = _parse()

    from jointasr.config import conf_files
    from jointasr.report import markdown, page, report, table
    from jointasr.scoring import pooling

    tests = list(scenarios.read_tests(args.tests))
    cells = table.Cells(pooling.read(args.exp / "results.json"), args.method)
    paper = table.read_paper(args.paper) if args.paper else None
    origin = report.Origin(recipe(), provenance.commit())
    conf = conf_files.load_report("report.yaml")
    material = report.gather(cells, tests, args.exp, conf, paper, origin)
    title, scope, sections = (
        report.title(material),
        report.scope(material),
        report.sections(material),
    )
    text, html = (kind.render(title, scope, sections) for kind in (markdown, page))
    with locks.held(args.exp / "RESULTS.md"):
        files.write_text(args.exp / "RESULTS.md", text)
        files.write_text(args.exp / "report.html", html)
    print(report.summary(material, args.exp), end="")


def recipe() -> str:
    """The recipe's name: its folder relative to the checkout, where it is inside."""
    here = Path.cwd().resolve()
    return str(here.relative_to(ROOT)) if here.is_relative_to(ROOT) else here.name


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, default=Path("exp"), help="has results.json")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--method", default=layout.DEFAULT_METHOD, help="of decoding")
    parser.add_argument("--paper", type=Path, help="the paper's numbers, to show below ours")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
