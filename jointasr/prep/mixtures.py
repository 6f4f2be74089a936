"""Planned mixtures of a set: made by jobs, each for its share of the utterances, then merged."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jointasr.config import scenarios
from jointasr.data import datadir, wav_scp
from jointasr.prep import noise
from jointasr.utils import files, jsonl
from jointasr.utils.errors import DataError

FILE = "mixtures.jsonl.gz"
PARTS = "parts"


def conditions(
    tests: Path, snr: tuple[float, float], talkers: tuple[int, int]
) -> dict[str, noise.Condition]:
    """How to mix each noisy set, by name: the scenarios of ``tests``, train_noisy, dev_noisy.

    ``snr`` is the range of the two training sets in dB. Raises DataError with file and line.
    """
    if not snr[0] <= snr[1]:
        raise DataError(f"snr {snr[0]:g},{snr[1]:g}: the first must not be above the second")
    if not 1 <= talkers[0] <= talkers[1]:
        raise DataError(f"babble_talkers {talkers[0]},{talkers[1]}: expected 1 <= first <= second")
    found: dict[str, noise.Condition] = {}
    for name, (kind, ratio) in scenarios.read_tests(tests).items():
        if ratio is not None:
            found[name] = noise.Condition(name, "test", (kind,), (ratio, ratio), talkers)
    for name, pool in ((scenarios.TRAIN, "train"), (scenarios.DEV, "dev")):
        found[name] = noise.Condition(name, pool, scenarios.KINDS, snr, talkers)
    return found


def share(ids: Sequence[str], job: int, jobs: int) -> list[str]:
    """The ``job``-th (from 1) of ``jobs`` contiguous shares of the sorted ids."""
    assert 1 <= job <= jobs, (job, jobs)
    ordered = sorted(ids)
    return ordered[len(ordered) * (job - 1) // jobs : len(ordered) * job // jobs]


def check(musan: Path, conditions: Sequence[noise.Condition]) -> None:
    """Raise DataError, before any work, when a pool lacks the files that a set needs."""
    pools = {name: noise.Noises(musan, name) for name in {c.pool for c in conditions}}
    for condition in conditions:
        pools[condition.pool].check(condition)


def plan(
    selected: Path,
    musan: Path,
    out: Path,
    conditions: Sequence[noise.Condition],
    window: float,
    seed: int,
    job: int,
    jobs: int,
) -> None:
    """Plan a job's share of the mixtures of some sets; each utterance is read once for all sets.

    Writes ``out/<set>/parts/mixtures.<job>.jsonl.gz``.
    """
    pools = {name: noise.Noises(musan, name, window) for name in {c.pool for c in conditions}}
    sources = datadir.read_table(selected / "wav.scp")
    with ExitStack() as stack:
        put = {
            c.name: stack.enter_context(
                jsonl.writing(out / c.name / PARTS / f"mixtures.{job}.jsonl.gz")
            )
            for c in conditions
        }
        for utterance in share(list(sources), job, jobs):
            speech = read_speech(utterance, sources[utterance])
            for condition in conditions:
                pool = pools[condition.pool]
                put[condition.name](noise.plan(utterance, speech, condition, pool, seed))


def merge(selected: Path, out: Path, condition: noise.Condition, jobs: int) -> str:
    """Join the parts of a set into ``out/<set>/mixtures.jsonl.gz``; returns and writes its report.

    Raises DataError when an utterance is missing or planned twice.
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
        raise DataError(f"{folder / PARTS}: not the utterances of {selected}; run stage 2 again")
    jsonl.write(folder / FILE, records)
    report = noise.report(condition, records)
    files.write_text(folder / "report.txt", report)
    for job in range(1, jobs + 1):
        (folder / PARTS / f"mixtures.{job}.jsonl.gz").unlink()
    return report


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """``{utterance: record}`` of a merged set."""
    return {record["id"]: record for record in jsonl.read(folder / FILE)}


def render(
    folder: Path, sources: dict[str, str], noises: noise.Noises, ids: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Yield (utterance, int16 mixture) for those of a merged set that are among ``ids``."""
    wanted = set(ids)
    for record in jsonl.read(folder / FILE):
        if (utterance := record["id"]) in wanted:
            speech = read_speech(utterance, sources[utterance])
            yield utterance, noise.to_int16(noise.render(record, speech, noises))


def read_speech(utterance: str, source: str) -> Any:
    """An utterance's int16 samples; an error names the utterance as well as the file."""
    try:
        return wav_scp.read(source)
    except DataError as error:
        raise DataError(f"{utterance}: {error}") from error
