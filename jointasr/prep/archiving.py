"""Archive the audio of a set: each job writes a share of the utterances; the shares are combined.

The samples do not depend on the number of jobs. ``digests.tsv`` (utterance, frames, CRC-32 of the
samples) records them; later steps depend on it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.data import archive, datadir, manifest
from jointasr.prep import mixing, mixture_plans
from jointasr.utils.errors import DataError

DIGESTS = "digests.tsv"
ARCHIVES = "archives"


def write_share(data: Path, musan: Path, sets: dict[str, str], job: int, jobs: int) -> None:
    """Write a job's share of several sets to ``<data>/<set>/archives/wav.<job>.{ark,scp}``.

    ``sets`` maps each set to the pool of its noise files ("" for the clean set).
    """
    sources = datadir.read_table(layout.selected_dir(data) / "wav.scp")
    ids = mixture_plans.share(list(sources), job, jobs)
    for name, pool_name in sets.items():
        folder = data / name / ARCHIVES
        if pool_name:
            mix, pool = layout.mix_dir(data, name), mixing.NoisePool(musan, pool_name)
            waves = mixture_plans.render(mix, sources, pool, ids)
        else:
            waves = _read_clean(sources, ids)
        checksums = archive.write_wav(waves, folder / f"wav.{job}.ark", folder / f"wav.{job}.scp")
        digests = {utt: f"{frames} {crc:08x}" for utt, (frames, crc) in checksums.items()}
        datadir.write_table(folder / f"wav.{job}.tsv", digests)
        print(f"{name}: {len(checksums)} utterances in {folder / f'wav.{job}.ark'}")


def combine(data: Path, name: str, jobs: int) -> None:
    """Combine the shares of all jobs into the data dir ``<data>/<name>``, and validate it.

    Raises DataError if an utterance is missing or its length differs from the manifest.
    """
    folder = data / name / ARCHIVES
    sources: dict[str, str] = {}
    digests: dict[str, str] = {}
    for job in range(1, jobs + 1):
        sources |= datadir.read_table(folder / f"wav.{job}.scp")
        digests |= datadir.read_table(folder / f"wav.{job}.tsv")
    cuts = manifest.load(layout.selected_dir(data))
    missing = sorted({cut.id for cut in cuts} ^ sources.keys())
    if missing:
        raise DataError(f"{folder}: {missing[0]} is missing or unexpected; run stage 5 again")
    manifest.write(manifest.relocate(cuts, sources), data / name, parts=False)
    datadir.write_table(data / name / DIGESTS, digests)
    problems = manifest.validate(data / name)
    if problems:
        raise DataError(f"{data / name} is not valid ({len(problems)} problems): {problems[0]}")
    # Remove the tables of jobs, and files left by killed runs or by runs with more jobs.
    for path in folder.iterdir():
        if path.suffix != ".ark" or path.name[0] == "." or int(path.name.split(".")[1]) > jobs:
            path.unlink()


def verify(path: Path) -> list[str]:
    """Read an archived set again; return a message for each difference from digests.tsv."""
    damaged = []
    digests = datadir.read_table(path / DIGESTS)
    for utterance, source in datadir.read_table(path / "wav.scp").items():
        try:
            samples = archive.read_wav(source)
        except DataError as error:
            damaged.append(f"{utterance}: {error}")
            continue
        if f"{len(samples)} {archive.fingerprint(samples):08x}" != digests.get(utterance):
            damaged.append(f"{utterance}: {source} differs from the archived samples")
    return damaged


def _read_clean(sources: dict[str, str], ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for utterance in ids:
        yield utterance, mixture_plans.read_speech(utterance, sources[utterance])
