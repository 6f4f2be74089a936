"""Names and phrases that the project does not use; CONTRIBUTING.md describes the style."""

import re
import subprocess

import pytest

from jointasr.utils.project import ROOT

SKIPPED = ("LICENSE", "requirements/", "tests/data/", "tests/unit/test_wording.py")
PHRASES = (
    r"\btold\b",
    r"\bmend(s|ed|ing)?\b",
    r"\b(go|goes|going|gone|went) on (with|from|where|in)\b",
    r"\bfor want of\b",
    r"\bwants? of (memory|a|the)\b",
    r"\bhow it is felt\b",
    r"\bsays? of (itself|it|a|an|the|each)\b",
    r"\bse(e|es|en) to it\b",
    r"\bwhoever\b",
    r"\bnobody\b",
    r"\bsomebody\b",
    r"\bbar comments\b",
    r"\b(at will|by turns)\b",
    r"\b(made )?anew\b",
    r"\blikeliest\b",
    r"\.\./shared\b",
    r"\b(PAPER|K2|DESIGN|CORPORA|MINI)\.md\b",
)
IDENTIFIERS = (
    r"\b(def|class) (hear|feel|Heard|World|Choice|Certainty|NOTHING|be_deaf|listen|_odd_words)\b",
    r"\.(hear|feel|kept|place)\b",
    r"\b(heard|kept|place|these|NOTHING) =",
    r"\bworld\.(first|join|leave|sum|any)\b",
    r"\bfor place in\b",
    r"\bbatch\.of\b",
)


def lines() -> list[tuple[str, str]]:
    """(file:line, text) of all text files in git."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if name.startswith(SKIPPED) or path.is_symlink() or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found.append((f"{name}:{number}", line))
    return found


@pytest.mark.parametrize("pattern", PHRASES + IDENTIFIERS)
def test_not_used(pattern: str) -> None:
    flags = re.IGNORECASE if pattern in PHRASES else 0
    used = [
        f"{where}: {text.strip()}" for where, text in lines() if re.search(pattern, text, flags)
    ]
    assert not used, "\n".join(used)
