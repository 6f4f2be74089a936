"""The planned mixtures of a set: each job plans a share of them; the shares are merged."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jointasr.config import scenarios
from jointasr.data import datadir, wav_scp
from jointasr.prep import mixing
from jointasr.utils import files, jsonl
from jointasr.utils.errors import DataError

FILE = "mixtures.jsonl.gz"
PARTS = "parts"


def conditions(
    tests: Path, snr: tuple[float, float], talkers: tuple[int, int]
) -> dict[str, mixing.MixCondition]:
    """Return the conditions of all noisy sets: scenarios of ``tests``, train_noisy, dev_noisy.

    ``snr``: range in dB of train_noisy and dev_noisy. ``talkers``: range of the number of talkers
    of background speech. Raises DataError for an empty range or, with file and line, for a
    malformed table.
    """
    if not snr[0] <= snr[1]:
        raise DataError(f"snr {snr[0]:g},{snr[1]:g}: the first must not exceed the second")
    if not 1 <= talkers[0] <= talkers[1]:
        raise DataError(f"babble_talkers {talkers[0]},{talkers[1]}: expected 1 <= first <= second")
    conditions: dict[str, mixing.MixCondition] = {}
    for name, (kind, ratio) in scenarios.read_tests(tests).items():
        if ratio is not None:
            conditions[name] = mixing.MixCondition(name, "test", (kind,), (ratio, ratio), talkers)
    for name, pool in ((scenarios.TRAIN_NOISY, "train"), (scenarios.DEV_NOISY, "dev")):
        conditions[name] = mixing.MixCondition(name, pool, scenarios.KINDS, snr, talkers)
    return conditions


def share(ids: Sequence[str], job: int, jobs: int) -> list[str]:
    """Return the ``job``-th (from 1) of ``jobs`` contiguous shares of the sorted ids."""
    assert 1 <= job <= jobs, (job, jobs)
    ordered = sorted(ids)
    return ordered[len(ordered) * (job - 1) // jobs : len(ordered) * job // jobs]


def check(musan: Path, conditions: Sequence[mixing.MixCondition]) -> None:
    """Raise DataError if a pool lacks files that a set requires."""
    pools = {name: mixing.NoisePool(musan, name) for name in {c.pool for c in conditions}}
    for condition in conditions:
        pools[condition.pool].check(condition)


def plan(
    selected: Path,
    musan: Path,
    out: Path,
    conditions: Sequence[mixing.MixCondition],
    window: float,
    seed: int,
    job: int,
    jobs: int,
) -> None:
    """Plan a job's share of the mixtures of several sets; each utterance is read once.

    ``window``: see :class:`jointasr.prep.mixing.NoisePool`. Writes
    ``out/<set>/parts/mixtures.<job>.jsonl.gz``.
    """
    pools = {name: mixing.NoisePool(musan, name, window) for name in {c.pool for c in conditions}}
    sources = datadir.read_table(selected / "wav.scp")
    with ExitStack() as stack:
        writers = {
            c.name: stack.enter_context(
                jsonl.writing(out / c.name / PARTS / f"mixtures.{job}.jsonl.gz")
            )
            for c in conditions
        }
        for utterance in share(list(sources), job, jobs):
            speech = read_speech(utterance, sources[utterance])
            for condition in conditions:
                pool = pools[condition.pool]
                writers[condition.name](mixing.plan(utterance, speech, condition, pool, seed))


def merge(selected: Path, out: Path, condition: mixing.MixCondition, jobs: int) -> str:
    """Join the parts of a set into ``out/<set>/mixtures.jsonl.gz``; write and return its report.

    Raises DataError if an utterance is missing or planned twice.
    """
    folder = out / condition.name
    records = [
        record
        for job in range(1, jobs + 1)
        for record in jsonl.read(folder / PARTS / f"mixtures.{job}.jsonl.gz")
    ]
    records.sort(key=lambda record: record["id"])
    expected = sorted(datadir.read_table(selected / "wav.scp"))
    if [record["id"] for record in records] != expected:
        raise DataError(
            f"{folder / PARTS}: the utterances are not those of {selected}; run stage 2 again"
        )
    jsonl.write(folder / FILE, records)
    report = mixing.report(condition, records)
    files.write_text(folder / "report.txt", report)
    for job in range(1, jobs + 1):
        (folder / PARTS / f"mixtures.{job}.jsonl.gz").unlink()
    return report


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """Return ``{utterance: record}`` of a merged set."""
    return {record["id"]: record for record in jsonl.read(folder / FILE)}


def render(
    folder: Path, sources: dict[str, str], pool: mixing.NoisePool, ids: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Yield (utterance, int16 mixture) for the utterances ``ids`` of a merged set."""
    selected = set(ids)
    for record in jsonl.read(folder / FILE):
        if (utterance := record["id"]) in selected:
            speech = read_speech(utterance, sources[utterance])
            yield utterance, mixing.to_int16(mixing.render(record, speech, pool))


def read_speech(utterance: str, source: str) -> Any:
    """Read the int16 samples of an utterance; errors name the utterance and the file."""
    try:
        return wav_scp.read(source)
    except DataError as error:
        raise DataError(f"{utterance}: {error}") from error
