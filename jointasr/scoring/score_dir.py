"""Scoring of one decode folder against the test data dir of its fold."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from jointasr.config import layout
from jointasr.data.datadir import read_table
from jointasr.scoring import decode_dir, metrics, score_files
from jointasr.scoring.metrics import Pair
from jointasr.scoring.scores import UtteranceInfo, UtteranceScores
from jointasr.text.lang import read_labels
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError

T = TypeVar("T")


def score(data: Path, lang: Path, decode: Path) -> UtteranceScores:
    """Score the transcripts and emotions in ``decode``, and write score files there.

    ``data`` is the test data dir of the fold; ``lang`` has the emotion labels (labels.txt).
    Utterances without a reference transcript have no word errors, those without a reference emotion
    no emotion score. Words are compared without normalization: references were normalized when the
    corpus was prepared, and hypotheses consist of the units of training. Raises DataError for
    missing or extra utterances and for unknown emotions, with their ids and the file.
    """
    scores = UtteranceScores(read_utterances(data))
    if not decode_dir.has_words(decode) and not decode_dir.has_emotions(decode):
        raise DataError(f"{decode}: neither text nor utt2emo to score; run stage 8 (decode) first")
    if decode_dir.has_words(decode):
        alignments = _align(data, decode, scores.utterances)
        counts = {utt: metrics.count(alignment) for utt, alignment in alignments.items()}
        scores = UtteranceScores(scores.utterances, counts)
        posteriors = decode_dir.read_word_posteriors(decode)
        score_files.write_words(decode, scores, alignments, posteriors)
    if decode_dir.has_emotions(decode):
        labels = tuple(read_labels(lang))
        emotions = _match_emotions(data, decode, labels, scores.utterances)
        rows = _read_posteriors(decode, labels, emotions, scores.utterances) if emotions else {}
        scores = UtteranceScores(scores.utterances, scores.words, emotions, rows, labels)
        score_files.write_emotions(decode, scores)
    return scores


def load(data: Path, decode: Path) -> UtteranceScores:
    """Read the scores that :func:`score` wrote. Raises DataError if there are none."""
    utterances = read_utterances(data)
    score_files.require_scored(decode)
    words = score_files.read_words(decode)
    emotions, labels = score_files.read_emotions(decode)
    posteriors = _read_posteriors(decode, labels, emotions, utterances) if emotions else {}
    return UtteranceScores(utterances, words, emotions, posteriors, labels)


def read_utterances(data: Path) -> dict[str, UtteranceInfo]:
    """Return speaker, reference emotion and style of the utterances of a data dir, sorted by id.

    The style is that of the supervision in cuts.jsonl.gz. Raises DataError for an utterance of
    ``text`` or ``utt2emo`` without a speaker.
    """
    speakers, emotions = read_table(data / "utt2spk"), read_table(data / "utt2emo")
    styles: dict[str, str] = {}
    if (data / layout.CUTS).is_file():
        for cut in jsonl.read(data / layout.CUTS):
            styles[cut["id"]] = (cut["supervisions"][0].get("custom") or {}).get("style", "")
    for utt in sorted(read_table(data / "text").keys() | emotions.keys()):
        if utt not in speakers:
            raise DataError(f"{data / 'utt2spk'} has no speaker for {utt}")
    return {
        utt: UtteranceInfo(speakers[utt], emotions.get(utt, ""), styles.get(utt, ""))
        for utt in sorted(speakers)
    }


def _align(data: Path, decode: Path, utterances: Collection[str]) -> dict[str, list[Pair]]:
    """Return aligned reference and hypothesis words of utterances with a reference transcript."""
    hyps = decode_dir.read_texts(decode)
    matched = _match(data / "text", decode / decode_dir.TEXT, hyps, utterances)
    alignments = metrics.align([ref for _, ref, _ in matched], [hyp for _, _, hyp in matched])
    return {utt: alignment for (utt, _, _), alignment in zip(matched, alignments, strict=True)}


def _match_emotions(
    data: Path, decode: Path, labels: tuple[str, ...], utterances: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Return (reference, hypothesis) of utterances with a reference emotion."""
    ref_file, hyp_file = data / "utt2emo", decode / decode_dir.EMOTIONS
    matched = _match(ref_file, hyp_file, decode_dir.read_emotions(decode), utterances)
    for utt, *pair in matched:
        for path, emotion in zip((ref_file, hyp_file), pair, strict=True):
            if emotion not in labels:
                raise DataError(
                    f"{path}: {utt} has the emotion {emotion!r}, not one of {' '.join(labels)}"
                )
    return {utt: (ref, hyp) for utt, ref, hyp in matched}


def _match(
    ref_file: Path, hyp_file: Path, hyps: Mapping[str, str], utterances: Collection[str]
) -> list[tuple[str, str, str]]:
    """Return (utterance, reference, hypothesis) of utterances with a reference.

    Raises DataError for references without hypothesis, and for hypotheses of utterances that are
    not in the data dir.
    """
    refs = read_table(ref_file)
    hyps = _without(set(utterances) - refs.keys(), hyps)
    if not refs and not hyps:  # no utterance of the fold has a reference
        return []
    return metrics.join(refs, hyps, ref_file, hyp_file)


def _read_posteriors(
    decode: Path,
    labels: tuple[str, ...],
    emotions: Collection[str],
    utterances: Collection[str],
) -> dict[str, list[float]]:
    """Return emotion posteriors of utterances with a reference emotion, {} without emo_post.

    Raises DataError for missing or extra utterances, then for a wrong number of posteriors.
    """

    def select(lines: Mapping[str, str]) -> dict[str, str]:
        labelled = _without(set(utterances) - set(emotions), lines)
        names = decode_dir.EMOTIONS, decode_dir.EMOTION_POSTERIORS
        metrics.join(dict.fromkeys(emotions, ""), labelled, *(decode / name for name in names))
        return dict(sorted(labelled.items()))

    return decode_dir.read_emotion_posteriors(decode, len(labels), select)


def _without(excluded: Collection[str], table: Mapping[str, T]) -> dict[str, T]:
    """Return the table without the excluded utterances."""
    return {utt: value for utt, value in table.items() if utt not in excluded}
