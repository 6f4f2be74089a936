"""Audit of the noise: separate noise files for training, dev and test, SNR of the mixtures."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jointasr.config import layout, scenarios
from jointasr.data import datadir, wav_scp
from jointasr.prep import mixture_plans
from jointasr.report.findings import Finding, expect_none
from jointasr.scoring.pooling import DecodedFold

MAX_MEASURED = 500
"""maximum number of utterances of a set whose SNR is measured"""
TOLERANCE = 0.05
"""dB, in addition to the effect of rounding to int16"""
ROUNDING_POWER = 1 / 12
"""power of the rounding error, in squared steps"""


class SnrCheck(NamedTuple):
    """Result of measuring the SNR of a set's mixtures."""

    text: str
    passed: bool


def noise_and_snr(fold_dirs: Sequence[Path], decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that noise files differ between training, dev and test, and the SNR of all mixtures."""
    tests = {fold.test for fold in decoded} - {scenarios.CLEAN}
    training = {"train": scenarios.TRAIN_NOISY, "dev": scenarios.DEV_NOISY}
    if all(fold.model.train == scenarios.CLEAN for fold in decoded):
        training = {}
    for data in sorted({layout.data_folder(path) for path in fold_dirs}):
        pools = {pool: _noise_files(data, {name}) for pool, name in training.items()}
        pools["test"] = _noise_files(data, tests)
        shared = {
            f"{pool} and {other}": sorted(pools[pool] & pools[other])
            for pool, other in itertools.combinations(pools, 2)
        }
        yield from expect_none("noise files in two pools", shared, "pairs of pools")
        for name in [*training.values(), *sorted(tests)]:
            snr = check_snr(data, name)
            yield Finding("measured SNR", f"{data}/{name}", snr.text, snr.passed)


def _noise_files(data: Path, sets: Iterable[str]) -> set[str]:
    """Return the ids of the noise recordings in the mixtures of the given sets."""
    return {
        noise
        for name in sets
        for record in mixture_plans.load(layout.mix_dir(data, name)).values()
        for noise in record["noise"]
    }


def check_snr(data: Path, name: str) -> SnrCheck:
    """Compare the SNR of the archived mixtures of set ``name`` with the requested SNR.

    The noise is the mixture divided by its recorded scale, minus the archived clean utterance. At
    most MAX_MEASURED utterances are measured, evenly spaced over the sorted ids. Rounding to int16
    adds 1/12 squared steps to the power of the noise, which the tolerance includes.
    """
    records = mixture_plans.load(layout.mix_dir(data, name))
    mixed = datadir.read_table(data / name / "wav.scp")
    clean = datadir.read_table(data / scenarios.CLEAN / "wav.scp")
    ids = sorted(records)
    chosen = ids[:: math.ceil(len(ids) / MAX_MEASURED)]
    deviations, wrong = [], []
    for utterance in chosen:
        deviation, tolerance = _deviation(records[utterance], mixed[utterance], clean[utterance])
        deviations.append(deviation)
        if not abs(deviation) <= tolerance:
            wrong.append(f"{utterance} {deviation:+.2f} dB")
    requested = sorted({records[utterance]["snr_requested"] for utterance in chosen})
    text = f"requested {requested[0]:.4g}"
    text += f" to {requested[-1]:.4g} dB" if len(requested) > 1 else " dB"
    text += f"; {len(chosen)} of {len(ids)} utterances measured, "
    text += f"largest deviation {max(map(abs, deviations)):.2g} dB"
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        text += f"; wrong: {', '.join(wrong[:3])}{more}"
    return SnrCheck(text, not wrong)


def _deviation(record: dict[str, Any], mixture: str, speech: str) -> tuple[float, float]:
    """Return (measured - requested SNR, tolerance) in dB; infinite if lengths differ."""
    clean = wav_scp.read(speech).astype(np.float64)
    mixed = wav_scp.read(mixture).astype(np.float64)
    if len(clean) != len(mixed):
        return math.inf, 0.0
    noise = mixed / record["scale"] - clean
    power = float(np.mean(noise**2))
    if power == 0:
        return math.inf, 0.0
    snr = 10 * math.log10(float(np.mean(clean**2)) / power)
    rounding = ROUNDING_POWER / record["scale"] ** 2 / power
    return snr - record["snr_requested"], TOLERANCE + 10 * math.log10(1 + 4 * rounding)
