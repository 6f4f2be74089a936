"""Scoring one decode folder against its fold's data dir, and the files that hold the outcome.

<decode>/scoring_kaldi/wer         Kaldi's %WER line
<decode>/scoring_kaldi/utt2counts  utterance, reference words, sub, del, ins
<decode>/scoring_kaldi/per_spk     the same per speaker, with per cent; also per_emo, per_style
<decode>/errs                      icefall's error file (outside scoring_kaldi: WERE, ANSWER and
                                   FLOWER would answer to `grep WER decode_*/scoring_kaldi/*`)
<decode>/scoring_ser/acc           %ACC line
<decode>/scoring_ser/ece           %ECE line, where there are posteriors
<decode>/scoring_ser/confusion     rows: reference, columns: recognised
<decode>/scoring_ser/utt2pred      utterance, reference, recognised emotion
<decode>/scoring_ser/per_spk       accuracy per speaker; also per_emo (recall), per_style
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from jointasr.config import layout
from jointasr.data.datadir import read_table, write_table
from jointasr.scoring import decode_dir, metrics, score_files
from jointasr.scoring.metrics import Confusion, WordCounts
from jointasr.text.lang import read_labels
from jointasr.utils import files, jsonl
from jointasr.utils.errors import DataError

KALDI = "scoring_kaldi"
SER = "scoring_ser"
T = TypeVar("T")


class UtteranceInfo(NamedTuple):
    """What utterances are grouped by; "" where the data dir does not say."""

    speaker: str
    emotion: str = ""
    """spoken, not recognised"""
    style: str = ""
    """improvised or scripted"""


class Group(NamedTuple):
    """A way to part utterances."""

    name: str
    file: str
    """Kaldi's name, per_<short>"""
    key: Callable[[UtteranceInfo], str]


GROUPS = (
    Group("speaker", "per_spk", lambda facts: facts.speaker),
    Group("emotion", "per_emo", lambda facts: facts.emotion),
    Group("style", "per_style", lambda facts: facts.style),
)


@dataclass(frozen=True)
class Score:
    """What was scored, by utterance: all that pooling and statistics need. ``+`` pools folds."""

    facts: dict[str, UtteranceInfo]
    words: dict[str, WordCounts] = field(default_factory=dict)
    emotions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """reference, recognised"""
    posteriors: dict[str, list[float]] = field(default_factory=dict)
    """of the emotions, in the order of ``labels``"""
    labels: tuple[str, ...] = ()

    def __add__(self, other: "Score") -> "Score":
        assert not self.facts.keys() & other.facts.keys()
        assert not self.labels or not other.labels or self.labels == other.labels
        return Score(
            self.facts | other.facts,
            self.words | other.words,
            self.emotions | other.emotions,
            self.posteriors | other.posteriors,
            self.labels or other.labels,
        )

    def only(self, utterances: Collection[str]) -> "Score":
        """The score of some utterances."""
        keep = set(utterances)
        return Score(
            {utt: value for utt, value in self.facts.items() if utt in keep},
            {utt: value for utt, value in self.words.items() if utt in keep},
            {utt: value for utt, value in self.emotions.items() if utt in keep},
            {utt: value for utt, value in self.posteriors.items() if utt in keep},
            self.labels,
        )

    def by(self, key: Callable[[UtteranceInfo], str]) -> dict[str, "Score"]:
        """The scores of groups of utterances, sorted by name; those without a name left out."""
        groups: dict[str, list[str]] = {}
        for utt, facts in self.facts.items():
            groups.setdefault(key(facts), []).append(utt)
        return {name: self.only(groups[name]) for name in sorted(groups) if name}

    @property
    def counts(self) -> WordCounts | None:
        """Summed word counts, None for a system without transcripts."""
        return sum(self.words.values(), WordCounts()) if self.words else None

    @property
    def confusion(self) -> Confusion | None:
        """Confusion over all utterances, None for a system without emotions."""
        return metrics.confuse(self.emotions.values(), self.labels) if self.emotions else None

    @property
    def ece(self) -> float | None:
        """Expected calibration error of the emotion posteriors, per cent; None without any."""
        if not self.posteriors:
            return None
        answers = [self.emotions[utt] for utt in self.posteriors]
        return metrics.calibration_error(
            [max(row) for row in self.posteriors.values()], [ref == hyp for ref, hyp in answers]
        )


def score(data: Path, lang: Path, decode: Path) -> Score:
    """Score ``decode`` (its ``text`` and ``utt2emo``, whichever exist) and write the files above.

    ``data`` is the fold's test dir, ``lang`` gives the emotions (labels.txt). Words count where the
    transcript is known, emotions where the label is. Both sides are
    compared word by word as they stand: references were normalised when the corpus was prepared
    and hypotheses are spelled in the units trained on them. Raises DataError for missing or extra
    utterances and unknown emotions, naming them and the file.
    """
    facts = read_facts(data)
    words: dict[str, WordCounts] = {}
    emotions: dict[str, tuple[str, str]] = {}
    posteriors: dict[str, list[float]] = {}
    labels: tuple[str, ...] = ()
    if decode_dir.has_words(decode):
        words = _score_words(data, decode, facts)
    if decode_dir.has_emotions(decode):
        labels = tuple(read_labels(lang))
        emotions = _score_emotions(data, decode, labels, facts)
        posteriors = _read_posteriors(decode, labels, emotions, facts) if emotions else {}
    if not decode_dir.has_words(decode) and not decode_dir.has_emotions(decode):
        raise DataError(f"{decode}: neither text nor utt2emo to score; run stage 8 (decode) first")
    result = Score(facts, words, emotions, posteriors, labels)
    if result.ece is not None:
        line = f"%ECE {result.ece:.2f} [ {metrics.ECE_BINS} bins, {len(posteriors)} utterances ]"
        files.write_text(decode / SER / "ece", f"{line}\n")
    return result


def load(data: Path, decode: Path) -> Score:
    """Read back what ``score`` wrote. Raises DataError when the folder has not been scored."""
    words: dict[str, WordCounts] = {}
    emotions: dict[str, tuple[str, str]] = {}
    posteriors: dict[str, list[float]] = {}
    labels: tuple[str, ...] = ()
    facts = read_facts(data)
    scored = [decode / KALDI / "utt2counts", decode / SER / "utt2pred"]
    if not any(path.is_file() for path in scored):
        raise DataError(f"{decode}: not scored yet; run stage 9 or local/score.sh first")
    if (decode / KALDI / "utt2counts").is_file():
        for utt, value in read_table(decode / KALDI / "utt2counts").items():
            ref_words, sub, dele, ins = map(int, value.split())
            words[utt] = WordCounts(sub, dele, ins, ref_words)
    if (decode / SER / "utt2pred").is_file():
        for utt, value in read_table(decode / SER / "utt2pred").items():
            ref, hyp = value.split()
            emotions[utt] = (ref, hyp)
    if emotions:
        header = files.read_text(decode / SER / "confusion").partition("\n")[0]
        labels = tuple(header.split()[1:])
        posteriors = _read_posteriors(decode, labels, emotions, facts)
    return Score(facts, words, emotions, posteriors, labels)


def read_facts(data: Path) -> dict[str, UtteranceInfo]:
    """Speaker, spoken emotion and style of a data dir's utterances, sorted by id.

    The style is the supervision's in cuts.jsonl.gz; raises DataError for an utterance of ``text``
    or ``utt2emo`` that has no speaker.
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


def _join(
    ref_file: Path, hyp_file: Path, hyps: dict[str, str], facts: Iterable[str]
) -> list[tuple[str, str, str]]:
    """Utterance, reference and hypothesis of those whose reference is known.

    Raises DataError for references without hypothesis, and for hypotheses of other utterances than
    the data dir's.
    """
    refs = read_table(ref_file)
    hyps = _without(set(facts) - refs.keys(), hyps)
    if not refs and not hyps:
        return []  # of this speaker nothing is known
    return metrics.join(refs, hyps, ref_file, hyp_file)


def _without(unknown: Collection[str], table: dict[str, T]) -> dict[str, T]:
    """Return the table without the utterances whose reference is unknown."""
    return {utt: value for utt, value in table.items() if utt not in unknown}


def _read_posteriors(
    decode: Path, labels: tuple[str, ...], emotions: Collection[str], facts: Iterable[str]
) -> dict[str, list[float]]:
    """Posteriors by utterance whose emotion is known, {} where the folder has none.

    Raises DataError for one that is missing, too many, or has not a value per emotion.
    """
    path = decode / decode_dir.EMOTION_POSTERIORS
    if not path.is_file():
        return {}
    posteriors = decode_dir.read_emotion_posteriors(decode, len(labels))
    posteriors = _without(set(facts) - set(emotions), posteriors)
    ids = dict.fromkeys(emotions, ""), dict.fromkeys(posteriors, "")
    metrics.join(*ids, decode / decode_dir.EMOTIONS, path)
    return dict(sorted(posteriors.items()))


def _score_words(
    data: Path, decode: Path, facts: dict[str, UtteranceInfo]
) -> dict[str, WordCounts]:
    joined = _join(data / "text", decode / decode_dir.TEXT, decode_dir.read_texts(decode), facts)
    if not joined:  # nobody has transcribed anything of this speaker
        write_table(decode / KALDI / "utt2counts", {})
        return {}
    alignments = metrics.align([ref for _, ref, _ in joined], [hyp for _, _, hyp in joined])
    words = {utt: metrics.count(a) for (utt, _, _), a in zip(joined, alignments, strict=True)}
    line = metrics.wer_line(sum(words.values(), WordCounts()))
    scored = f"Scored {len(words)} sentences, 0 not present in hyp."
    out = decode / KALDI
    posteriors = decode_dir.read_word_posteriors(decode)
    files.write_text(decode / "errs", score_files.errors(line, list(words), alignments, posteriors))
    for name, file, key in GROUPS:
        groups = {g: part for g, part in Score(facts, words).by(key).items() if part.words}
        totals = {group: part.counts or WordCounts() for group, part in groups.items()}
        sizes = {group: len(part.words) for group, part in groups.items()}
        files.write_text(out / file, score_files.words_by(totals, sizes, name))
    write_table(
        out / "utt2counts",
        {utt: f"{c.ref_words} {c.sub} {c.dele} {c.ins}" for utt, c in words.items()},
    )
    files.write_text(out / "wer", f"{line}\n{scored}\n")
    return words


def _score_emotions(
    data: Path, decode: Path, labels: tuple[str, ...], facts: dict[str, UtteranceInfo]
) -> dict[str, tuple[str, str]]:
    joined = _join(
        data / "utt2emo", decode / decode_dir.EMOTIONS, decode_dir.read_emotions(decode), facts
    )
    if not joined:
        write_table(decode / SER / "utt2pred", {})
        return {}
    for utt, *pair in joined:
        for folder, emotion in zip((data, decode), pair, strict=True):
            if emotion not in labels:
                raise DataError(
                    f"{folder / 'utt2emo'}: {utt} has the emotion {emotion!r}, not one of "
                    f"{' '.join(labels)}"
                )
    emotions = {utt: (ref, hyp) for utt, ref, hyp in joined}
    confusion = metrics.confuse(emotions.values(), labels)
    out = decode / SER
    files.write_text(out / "confusion", score_files.confusion_table(confusion))
    for name, file, key in GROUPS:
        groups = Score(facts, emotions=emotions, labels=labels).by(key)
        found = {group: part.confusion for group, part in groups.items()}
        totals = {group: one for group, one in found.items() if one is not None}
        files.write_text(out / file, score_files.accuracy_by(totals, name))
    write_table(out / "utt2pred", {utt: f"{ref} {hyp}" for utt, (ref, hyp) in emotions.items()})
    scored = f"Scored {len(emotions)} utterances, 0 not present in hyp."
    files.write_text(out / "acc", f"{metrics.acc_line(confusion)}\n{scored}\n")
    return emotions
