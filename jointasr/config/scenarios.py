"""Which sets exist: the test scenarios of conf/tests.tsv and the two noisy training sets."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

KINDS = ("music", "noise", "speech")
CLEAN = "clean"
TRAIN, DEV = "train_noisy", "dev_noisy"


def tests_file(given: str = "") -> Path:
    """The table of scenarios: the one given, else the recipe's conf/tests.tsv, else the shared."""
    if given:
        return Path(given)
    own = Path("conf/tests.tsv")
    return own if own.is_file() else ROOT / own


def pools(tests: Path, wanted: Sequence[str] = ()) -> dict[str, str]:
    """``{set: pool of its noise files}`` of the sets wanted (default: all), "" for the clean one.

    Raises DataError naming a set that does not exist.
    """
    known = {CLEAN: "", TRAIN: "train", DEV: "dev"}
    known |= {name: "test" for name in read_tests(tests) if name != CLEAN}
    for name in wanted:
        if name not in known:
            raise DataError(f"{name} is no set of {tests}; there are {' '.join(known)}")
    return {name: known[name] for name in wanted} if wanted else known


def read_tests(path: Path) -> dict[str, tuple[str, float | None]]:
    """``{scenario: (kind, SNR in dB)}`` in file order; the clean one has ("-", None)."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    found: dict[str, tuple[str, float | None]] = {}
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, ratio = [*line.split(), "", ""][:3]
        if name in found or name in (TRAIN, DEV):
            raise DataError(f"{path}:{number}: {name} occurs twice or is a training set's name")
        if (kind == "-") != (name == CLEAN) or kind not in ("-", *KINDS) or len(line.split()) != 3:
            raise DataError(f"{path}:{number}: expected `clean - -` or `NAME KIND SNR`: {line}")
        try:
            found[name] = kind, None if kind == "-" else float(ratio)
        except ValueError:
            raise DataError(f"{path}:{number}: {ratio} is not an SNR in dB") from None
    if not found:
        raise DataError(f"{path}: no test scenario in it")
    return found
