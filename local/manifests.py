"""lhotse recordings and cuts of entire files. Import it late: lhotse takes seconds to import."""

from collections.abc import Sequence
from pathlib import Path

from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

from jointasr.data import wav_scp
from jointasr.utils import jsonl


def recording(id: str, path: Path, header: wav_scp.AudioHeader) -> Recording:
    """Return the recording of a mono file."""
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
    """Write a recordings manifest, sorted by id; ids are the stems of the files."""
    items = [recording(file.stem, file, h) for file, h in zip(files, headers, strict=True)]
    items.sort(key=lambda item: item.id)
    jsonl.write(path, (item.to_dict() for item in items))


def utterance(
    audio: Recording,
    text: str | None,
    speaker: str,
    custom: dict[str, str],
    gender: str | None = None,
    language: str | None = None,
) -> MonoCut:
    """Return a cut of an entire recording; cut, supervision and recording have the same id."""
    supervision = SupervisionSegment(
        id=audio.id,
        recording_id=audio.id,
        start=0.0,
        duration=audio.duration,
        channel=0,
        text=text,
        language=language,
        speaker=speaker,
        gender=gender,
        custom=custom,
    )
    return MonoCut(
        id=audio.id,
        start=0.0,
        duration=audio.duration,
        channel=0,
        recording=audio,
        supervisions=[supervision],
    )
