"""The files of a decode folder: what a model recognized in one test scenario.

=============  ====================================================================================
text           words of each utterance; an utterance without words is the id alone
word_post      posterior of each word of ``text``, for decoding methods that estimate it
utt2emo        most probable emotion of each utterance
emo_post       posteriors of the emotions, in the order of the lang dir's labels.txt
usage.json     time and memory of decoding; the only file that differs between two equal runs
decode.json    options and commit of decoding; utterances that could not be read
=============  ====================================================================================

Scoring adds score files to the folder, see :mod:`jointasr.scoring.score_files`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jointasr.config.model_description import HAS_EMOTIONS, HAS_WORDS
from jointasr.data import datadir
from jointasr.utils import files
from jointasr.utils.errors import DataError

TEXT, WORD_POSTERIORS = "text", "word_post"
EMOTIONS, EMOTION_POSTERIORS = "utt2emo", "emo_post"
USAGE, DESCRIPTION = "usage.json", "decode.json"


class Usage(NamedTuple):
    """Time and memory of decoding."""

    audio: float
    """duration of the decoded audio, seconds"""
    seconds: float
    """wall-clock time from audio to transcripts and emotions"""
    search: float
    """the part of ``seconds`` spent from posteriors to transcripts"""
    memory: float
    """peak memory of the process so far, GiB"""


def hypothesis_files(kind: str) -> list[str]:
    """Return the names of the hypothesis tables of a system of kind asr, ser or joint."""
    names = [TEXT] if kind in HAS_WORDS else []
    return [*names, EMOTIONS, EMOTION_POSTERIORS] if kind in HAS_EMOTIONS else names


def write_words(
    folder: Path, texts: Mapping[str, str], posteriors: Mapping[str, Sequence[float]]
) -> None:
    """Write the words of each utterance and their posteriors; without any, remove ``word_post``."""
    datadir.write_table(folder / TEXT, texts)
    if posteriors:
        _write_posteriors(folder / WORD_POSTERIORS, posteriors)
    else:  # remove what another default method has left
        (folder / WORD_POSTERIORS).unlink(missing_ok=True)


def write_emotions(
    folder: Path, posteriors: Mapping[str, Sequence[float]], labels: Sequence[str]
) -> None:
    """Write the posteriors of ``labels`` for each utterance, and the most probable label."""
    predicted = {utt: labels[values.index(max(values))] for utt, values in posteriors.items()}
    datadir.write_table(folder / EMOTIONS, predicted)
    _write_posteriors(folder / EMOTION_POSTERIORS, posteriors)


def write_usage(folder: Path, usage: Usage) -> None:
    """Write time and memory of decoding."""
    files.write_json(folder / USAGE, usage._asdict())


def write_description(
    folder: Path, options: Mapping[str, object], commit: str, unreadable: Mapping[str, str]
) -> None:
    """Write options and commit of decoding, and ``{utterance: why it could not be read}``."""
    files.write_json(folder / DESCRIPTION, {**options, "commit": commit, "unread": unreadable})


def has_words(folder: Path) -> bool:
    """Return whether the folder has transcripts."""
    return (folder / TEXT).is_file()


def has_emotions(folder: Path) -> bool:
    """Return whether the folder has emotions."""
    return (folder / EMOTIONS).is_file()


def read_texts(folder: Path) -> dict[str, str]:
    """Return the words of each utterance, {} where the folder has no transcripts."""
    return datadir.read_table(folder / TEXT) if has_words(folder) else {}


def read_emotions(folder: Path) -> dict[str, str]:
    """Return the emotion of each utterance, {} where the folder has no emotions."""
    return datadir.read_table(folder / EMOTIONS) if has_emotions(folder) else {}


def read_word_posteriors(folder: Path) -> dict[str, list[float]]:
    """Return the posterior of each word, {} where the decoding method did not estimate them.

    Raises DataError naming an utterance whose posteriors do not match its words.
    """
    path = folder / WORD_POSTERIORS
    if not path.is_file():
        return {}
    texts, posteriors = read_texts(folder), {}
    for utt, line in datadir.read_table(path, allow_empty=True).items():
        posteriors[utt] = _numbers(line)
        if len(posteriors[utt]) != len(texts.get(utt, "").split()):
            raise DataError(f"{path}: {utt}: expected one posterior for each of its words in text")
    return posteriors


def read_emotion_posteriors(
    folder: Path, num_labels: int, select: Callable[[dict[str, str]], Mapping[str, str]] = dict
) -> dict[str, list[float]]:
    """Return the ``num_labels`` posteriors of each utterance, {} where the folder has none.

    ``select`` checks and filters the lines of the utterances before the posteriors are checked.
    Raises DataError naming an utterance with another number of posteriors, or whose posteriors do
    not sum to one.
    """
    path = folder / EMOTION_POSTERIORS
    if not path.is_file():
        return {}
    posteriors = {}
    for utt, line in select(datadir.read_table(path)).items():
        posteriors[utt] = _numbers(line)
        if len(posteriors[utt]) != num_labels or abs(sum(posteriors[utt]) - 1) > 1e-3:
            raise DataError(
                f"{path}: {utt}: expected {num_labels} posteriors that sum to one, not {line!r}"
            )
    return posteriors


def read_usage(folder: Path) -> Usage | None:
    """Return time and memory of decoding, None where the folder does not have them.

    Other entries of usage.json are ignored. Raises DataError if one of these is missing.
    """
    path = folder / USAGE
    if not path.is_file():
        return None
    values = files.read_json(path)
    try:
        numbers = [values[name] for name in Usage._fields]
        if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in numbers):
            raise TypeError
    except (KeyError, TypeError):
        names = ", ".join(Usage._fields)
        raise DataError(f"{path}: expected the numbers {names}; decode again") from None
    return Usage(*numbers)


def read_commit(folder: Path) -> str | None:
    """Return the commit that decoded the folder, None where the folder does not have it."""
    description = _read_description(folder)
    return str(description["commit"]) if description else None


def read_unreadable(folder: Path) -> dict[str, str]:
    """Return ``{utterance: why it could not be read}``; not empty only with ``--skip-bad``."""
    unreadable: dict[str, str] = _read_description(folder).get("unread", {})
    return unreadable


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    description: dict[str, Any] = files.read_json(path) if path.is_file() else {}
    return description


def _write_posteriors(path: Path, posteriors: Mapping[str, Sequence[float]]) -> None:
    lines = {utt: " ".join(f"{p:.6f}" for p in values) for utt, values in posteriors.items()}
    datadir.write_table(path, lines)


def _numbers(line: str) -> list[float]:
    """Return the numbers of a line, [] where one of its fields is not a number."""
    try:
        return [float(field) for field in line.split()]
    except ValueError:
        return []
