"""docs/faults.md: the test named in each row exists and expects the message in the row."""

import ast

import pytest

from jointasr.utils.project import ROOT

PAGE = ROOT / "docs/faults.md"


def rows() -> list[tuple[str, str, str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    result = [(a.strip(), b.strip().strip("`"), c.strip()) for a, b, c in cells]
    return [row for row in result if row[0] != "fault"]


def source(test: str) -> str:
    """The source of a test function with its decorators."""
    file, _, function = test.partition("::")
    (path,) = (ROOT / "tests").rglob(f"{file}.py")
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise AssertionError(f"{test}: no such test")


def test_forty_faults_or_more() -> None:
    assert len(rows()) >= 40
    assert len({fault for fault, _, _ in rows()}) == len(rows())


@pytest.mark.parametrize(("fault", "words", "test"), rows(), ids=[fault for fault, _, _ in rows()])
def test_row_quotes_its_test(fault: str, words: str, test: str) -> None:
    expected = source(test).replace("\\", "")  # of regular expressions
    for piece in words.split(" … "):
        assert piece.strip() in expected, f"{fault}: {test} does not expect {piece!r}"
