"""Names of the sets: test scenarios of ``conf/tests.tsv`` and the two noisy training sets."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

KINDS = ("music", "noise", "speech")
"""kinds of noise"""
CLEAN = "clean"
TRAIN_NOISY, DEV_NOISY = "train_noisy", "dev_noisy"


def tests_file(given: str = "") -> Path:
    """Return the scenario table: ``given``, or conf/tests.tsv of the recipe or of the project."""
    if given:
        return Path(given)
    table = Path("conf/tests.tsv")
    return table if table.is_file() else ROOT / table


def pools(tests: Path, wanted: Sequence[str] = ()) -> dict[str, str]:
    """Return ``{set: pool of its noise files}`` of ``wanted``, or of all sets; clean has "".

    Raises DataError if a wanted set does not exist.
    """
    known = {CLEAN: "", TRAIN_NOISY: "train", DEV_NOISY: "dev"}
    known |= {name: "test" for name in read_tests(tests) if name != CLEAN}
    for name in wanted:
        if name not in known:
            raise DataError(f"{name}: no such set in {tests}; choose from {' '.join(known)}")
    return {name: known[name] for name in wanted} if wanted else known


def read_tests(path: Path) -> dict[str, tuple[str, float | None]]:
    """Return ``{scenario: (noise kind, SNR in dB)}`` in file order; clean has ("-", None).

    Raises DataError if the file is missing or has no scenario, or naming file and line of an
    invalid or duplicate entry.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    tests: dict[str, tuple[str, float | None]] = {}
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, snr = [*line.split(), "", ""][:3]
        if name in tests or name in (TRAIN_NOISY, DEV_NOISY):
            raise DataError(f"{path}:{number}: {name} is a duplicate or the name of a training set")
        if (kind == "-") != (name == CLEAN) or kind not in ("-", *KINDS) or len(line.split()) != 3:
            raise DataError(f"{path}:{number}: expected `clean - -` or `NAME KIND SNR`: {line}")
        try:
            tests[name] = kind, None if kind == "-" else float(snr)
        except ValueError:
            raise DataError(f"{path}:{number}: {snr} is not an SNR in dB") from None
    if not tests:
        raise DataError(f"{path}: contains no test scenario; add lines `NAME KIND SNR`")
    return tests
