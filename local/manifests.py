"""Whole files as lhotse recordings and cuts. Imported late: lhotse takes seconds to import."""

from collections.abc import Sequence
from pathlib import Path

from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

from jointasr.data import wav_scp
from jointasr.utils import jsonl


def recording(id: str, path: Path, header: wav_scp.AudioHeader) -> Recording:
    """One mono file."""
    return Recording(
        id=id,
        sources=[AudioSource("file", channels=[0], source=str(path))],
        sampling_rate=header.rate,
        num_samples=header.frames,
        duration=header.duration,
    )


def write_recordings(
    path: Path, files: Sequence[Path], headers: Sequence[wav_scp.AudioHeader]
) -> None:
    """Write a recordings manifest, sorted by id; the id is the stem of the file."""
    items = [recording(file.stem, file, h) for file, h in zip(files, headers, strict=True)]
    items.sort(key=lambda item: item.id)
    jsonl.write(path, (item.to_dict() for item in items))


def utterance(
    whole: Recording,
    text: str | None,
    speaker: str,
    custom: dict[str, str],
    gender: str | None = None,
    language: str | None = None,
) -> MonoCut:
    """A cut of all of a recording; it, its supervision and the recording share one id."""
    supervision = SupervisionSegment(
        id=whole.id,
        recording_id=whole.id,
        start=0.0,
        duration=whole.duration,
        channel=0,
        text=text,
        language=language,
        speaker=speaker,
        gender=gender,
        custom=custom,
    )
    return MonoCut(
        id=whole.id,
        start=0.0,
        duration=whole.duration,
        channel=0,
        recording=whole,
        supervisions=[supervision],
    )
