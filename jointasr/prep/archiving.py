"""From planned sets to archived ones: written by jobs, each for its share, then combined.

Whatever the number of jobs, the tables of a set name the same samples; ``digests.tsv`` (utterance,
frames, CRC-32 of the samples) is the record of them that later steps are tied to.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.data import archive, datadir, manifest
from jointasr.prep import mixtures, noise
from jointasr.utils.errors import DataError

DIGESTS = "digests.tsv"
ARCHIVES = "archives"


def write_share(data: Path, musan: Path, sets: dict[str, str], job: int, jobs: int) -> None:
    """Write a job's share of some sets as ``<data>/<set>/archives/wav.<job>.{ark,scp}``.

    ``sets`` maps each set to the pool of its noise files ("" for the clean one).
    """
    sources = datadir.read_table(layout.selected_dir(data) / "wav.scp")
    ids = mixtures.share(list(sources), job, jobs)
    for name, pool in sets.items():
        folder = data / name / ARCHIVES
        if pool:
            mix, pieces = layout.mix_dir(data, name), noise.Noises(musan, pool)
            waves = mixtures.render(mix, sources, pieces, ids)
        else:
            waves = _clean(sources, ids)
        facts = archive.write_wav(waves, folder / f"wav.{job}.ark", folder / f"wav.{job}.scp")
        digests = {utt: f"{frames} {crc:08x}" for utt, (frames, crc) in facts.items()}
        datadir.write_table(folder / f"wav.{job}.tsv", digests)
        print(f"{name}: {len(facts)} utterances in {folder / f'wav.{job}.ark'}")


def combine(data: Path, name: str, jobs: int) -> None:
    """Make ``<data>/<name>`` a data dir of what the jobs wrote, and check it.

    Raises DataError when an utterance is missing, or as long as its manifest does not say.
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
        raise DataError(f"{folder}: {missing[0]} is missing or too many; run stage 5 again")
    manifest.write(manifest.relocate(cuts, sources), data / name, parts=False)
    datadir.write_table(data / name / DIGESTS, digests)
    problems = manifest.problems(data / name)
    if problems:
        raise DataError(f"{data / name} is not valid ({len(problems)} problems): {problems[0]}")
    for path in folder.iterdir():  # tables of jobs, what killed ones left, a wider split
        if path.suffix != ".ark" or path.name[0] == "." or int(path.name.split(".")[1]) > jobs:
            path.unlink()


def verify(path: Path) -> list[str]:
    """Read every sample of an archived set again; the utterances that are not as written."""
    bad = []
    digests = datadir.read_table(path / DIGESTS)
    for utterance, source in datadir.read_table(path / "wav.scp").items():
        try:
            samples = archive.read_wav(source)
        except DataError as error:
            bad.append(f"{utterance}: {error}")
            continue
        if f"{len(samples)} {archive.fingerprint(samples):08x}" != digests.get(utterance):
            bad.append(f"{utterance}: {source} is not what was archived")
    return bad


def _clean(sources: dict[str, str], ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for utterance in ids:
        yield utterance, mixtures.read_speech(utterance, sources[utterance])
