"""The audit of an experiment: leakage, consistency of the data, equal training conditions.

Checks read data and models rather than the reports of earlier stages.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jointasr.report import audit_folds, audit_noise, audit_outputs, audit_training
from jointasr.report.findings import Finding
from jointasr.scoring.pooling import DecodedFold
from jointasr.utils.errors import DataError

DAMAGED_DATA = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""errors of a check whose data lack an entry or have one of another type"""


def audit(decoded: Sequence[DecodedFold]) -> list[Finding]:
    """Run all checks on the decode folders of a report, their models and their data.

    Paths are relative to the current folder. A check whose data cannot be read or are damaged
    gives a failed finding instead of an error.
    """
    fold_dirs = sorted({Path(fold.model.data) for fold in decoded})
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("training and test sets", lambda: audit_folds.overlaps(fold_dirs, decoded)),
        ("references", lambda: audit_outputs.references(decoded)),
        ("audio", lambda: audit_outputs.audio(decoded)),
        ("hypotheses", lambda: audit_outputs.hypotheses(decoded)),
        ("unreadable audio", lambda: audit_outputs.unreadable(decoded)),
        ("excluded utterances", lambda: audit_folds.excluded_utterances(fold_dirs)),
        ("checkpoint", lambda: audit_training.checkpoint_selection(decoded)),
        ("language models", lambda: audit_training.language_models(decoded)),
        ("equal budgets", lambda: audit_training.budgets(decoded)),
        ("noise", lambda: audit_noise.noise_and_snr(fold_dirs, decoded)),
    ]
    findings: list[Finding] = []
    for name, check in checks:
        findings += _run(name, check)
    return findings


def _run(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (DataError, OSError) as error:
        reason = str(error)
    except DAMAGED_DATA as error:
        reason = f"{type(error).__name__}: {error}"
    return [Finding(name, "", f"could not be checked: {reason}", False)]
