"""The signal-to-noise ratio of archived mixtures, measured again from their samples."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jointasr.config import layout, scenarios
from jointasr.data import datadir, wav_scp
from jointasr.prep import mixtures

FILE = mixtures.FILE
MOST = 500  # utterances measured of a set
TOLERANCE = 0.05  # dB, beyond what rounding to int16 explains
ROUNDING = 1 / 12  # power of the rounding error, in squared steps


class Measured(NamedTuple):
    """What a set's mixtures were found to be."""

    text: str
    ok: bool


def files(folder: Path) -> set[str]:
    """Noise recordings that a planned set uses."""
    return {name for record in mixtures.load(folder).values() for name in record["noise"]}


def measure(data: Path, name: str) -> Measured:
    """Compare the SNR asked for with the one in the archive of set ``name``.

    A mixture, divided by its recorded scale, less the archived clean utterance is the noise. At
    most 500 utterances are measured, evenly spaced over the ids. Rounding adds 1/12 squared steps
    to the noise's power: so much more is allowed where the noise is faint.
    """
    records = mixtures.load(layout.mix_dir(data, name))
    mixed = datadir.read_table(data / name / "wav.scp")
    clean = datadir.read_table(data / scenarios.CLEAN / "wav.scp")
    ids = sorted(records)
    chosen = ids[:: math.ceil(len(ids) / MOST)]
    deviations, wrong = [], []
    for utterance in chosen:
        found, allowed = _deviation(records[utterance], mixed[utterance], clean[utterance])
        deviations.append(found)
        if not abs(found) <= allowed:
            wrong.append(f"{utterance} {found:+.2f} dB")
    asked = sorted({records[utterance]["snr_requested"] for utterance in chosen})
    text = f"asked for {asked[0]:.4g}" + (f" to {asked[-1]:.4g} dB" if len(asked) > 1 else " dB")
    text += f"; {len(chosen)} of {len(ids)} utterances, "
    text += f"largest deviation {max(map(abs, deviations)):.2g} dB"
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        text += f"; off: {', '.join(wrong[:3])}{more}"
    return Measured(text, not wrong)


def _deviation(record: dict[str, Any], mixture: str, speech: str) -> tuple[float, float]:
    """(measured - requested, what is allowed of it) in dB; infinite where lengths differ."""
    clean = wav_scp.read(speech).astype(np.float64)
    mixed = wav_scp.read(mixture).astype(np.float64)
    if len(clean) != len(mixed):
        return math.inf, 0.0
    noise = mixed / record["scale"] - clean
    power = float(np.mean(noise**2))
    if power == 0:
        return math.inf, 0.0
    ratio = 10 * math.log10(float(np.mean(clean**2)) / power)
    faint = ROUNDING / record["scale"] ** 2 / power
    return ratio - record["snr_requested"], TOLERANCE + 10 * math.log10(1 + 4 * faint)
