"""Scoring one decode folder against its fold's data dir, and the files that hold the outcome.

<decode>/scoring_kaldi/wer         Kaldi's %WER line
<decode>/scoring_kaldi/utt2counts  utterance, speaker, reference words, sub, del, ins
<decode>/scoring_kaldi/per_spk     the same per speaker, with per cent
<decode>/errs                      icefall's error file (outside scoring_kaldi: WERE, ANSWER and
                                   FLOWER would answer to `grep WER decode_*/scoring_kaldi/*`)
<decode>/scoring_ser/acc           %ACC line
<decode>/scoring_ser/confusion     rows: reference, columns: recognised
<decode>/scoring_ser/utt2pred      utterance, speaker, reference, recognised emotion
<decode>/scoring_ser/per_spk       accuracy per speaker
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jointasr import metrics
from jointasr.datadir import read_table, write_text
from jointasr.errors import DataError
from jointasr.lang import read_labels
from jointasr.metrics import Confusion, Pair, WordCounts

KALDI = "scoring_kaldi"
SER = "scoring_ser"


@dataclass(frozen=True)
class Score:
    """What one decode folder scored, by utterance: all that pooling and statistics need."""

    speakers: dict[str, str]
    words: dict[str, WordCounts] = field(default_factory=dict)
    emotions: dict[str, tuple[str, str]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def counts(self) -> WordCounts | None:
        """Summed word counts, None for a system without transcripts."""
        return sum(self.words.values(), WordCounts()) if self.words else None

    @property
    def confusion(self) -> Confusion | None:
        """Confusion over all utterances, None for a system without emotions."""
        return metrics.confuse(self.emotions.values(), self.labels) if self.emotions else None


def score(data: Path, lang: Path, decode: Path) -> Score:
    """Score ``decode`` (its ``text`` and ``utt2emo``, whichever exist) and write the files above.

    ``data`` is the fold's test dir, ``lang`` gives the emotions (labels.txt). Both sides are
    compared word by word as they stand: references were normalised when the corpus was prepared
    and hypotheses are spelled in the units trained on them. Raises DataError for missing or extra
    utterances and unknown emotions, naming them and the file.
    """
    speakers = read_table(data / "utt2spk")
    words: dict[str, WordCounts] = {}
    emotions: dict[str, tuple[str, str]] = {}
    labels: tuple[str, ...] = ()
    if (decode / "text").is_file():
        words = _score_words(data, decode, speakers)
    if (decode / "utt2emo").is_file():
        labels = tuple(read_labels(lang))
        emotions = _score_emotions(data, decode, labels, speakers)
    if not words and not emotions:
        raise DataError(f"{decode}: neither text nor utt2emo to score; run stage 8 (decode) first")
    return Score(speakers, words, emotions, labels)


def load(decode: Path) -> Score:
    """Read back what ``score`` wrote. Raises DataError when the folder has not been scored."""
    speakers: dict[str, str] = {}
    words: dict[str, WordCounts] = {}
    emotions: dict[str, tuple[str, str]] = {}
    labels: tuple[str, ...] = ()
    if (decode / KALDI / "utt2counts").is_file():
        for utt, value in read_table(decode / KALDI / "utt2counts").items():
            speakers[utt], *numbers = value.split()
            ref_words, sub, dele, ins = map(int, numbers)
            words[utt] = WordCounts(sub, dele, ins, ref_words)
    if (decode / SER / "utt2pred").is_file():
        for utt, value in read_table(decode / SER / "utt2pred").items():
            speakers[utt], ref, hyp = value.split()
            emotions[utt] = (ref, hyp)
        header = (decode / SER / "confusion").read_text(encoding="utf-8").partition("\n")[0]
        labels = tuple(header.split()[1:])
    if not speakers:
        raise DataError(f"{decode}: not scored yet; run stage 9 or local/score.sh first")
    return Score(speakers, words, emotions, labels)


def _score_words(data: Path, decode: Path, speakers: dict[str, str]) -> dict[str, WordCounts]:
    joined = metrics.join(
        read_table(data / "text"),
        read_table(decode / "text"),
        data / "text",
        decode / "text",
    )
    alignments = metrics.align([ref for _, ref, _ in joined], [hyp for _, _, hyp in joined])
    words = {utt: metrics.count(a) for (utt, _, _), a in zip(joined, alignments, strict=True)}
    total = sum(words.values(), WordCounts())
    line = metrics.wer_line(total)
    scored = f"Scored {len(words)} sentences, 0 not present in hyp."
    out = decode / KALDI
    write_text(decode / "errs", errors(line, list(words), alignments))
    write_text(out / "per_spk", _per_speaker_words(words, speakers))
    write_text(out / "utt2counts", "".join(_counts_line(u, c, speakers) for u, c in words.items()))
    write_text(out / "wer", f"{line}\n{scored}\n")
    return words


def _score_emotions(
    data: Path, decode: Path, labels: tuple[str, ...], speakers: dict[str, str]
) -> dict[str, tuple[str, str]]:
    refs, hyps = read_table(data / "utt2emo"), read_table(decode / "utt2emo")
    joined = metrics.join(refs, hyps, data / "utt2emo", decode / "utt2emo")
    for path, table in ((data / "utt2emo", refs), (decode / "utt2emo", hyps)):
        for utt, emotion in table.items():
            if emotion not in labels:
                raise DataError(
                    f"{path}: {utt} has the emotion {emotion!r}, not one of {' '.join(labels)}"
                )
    emotions = {utt: (ref, hyp) for utt, ref, hyp in joined}
    confusion = metrics.confuse(emotions.values(), labels)
    out = decode / SER
    write_text(out / "confusion", _confusion_table(confusion))
    write_text(out / "per_spk", _per_speaker_emotions(emotions, speakers))
    write_text(
        out / "utt2pred",
        "".join(f"{utt} {_speaker(utt, speakers)} {r} {h}\n" for utt, (r, h) in emotions.items()),
    )
    scored = f"Scored {len(emotions)} utterances, 0 not present in hyp."
    write_text(out / "acc", f"{metrics.acc_line(confusion)}\n{scored}\n")
    return emotions


def errors(line: str, utterances: Sequence[str], alignments: Sequence[list[Pair]]) -> str:
    """Text of the error file: every utterance aligned, then what was confused with what."""
    flat = [pair for alignment in alignments for pair in alignment]
    wrong = Counter(pair for pair in flat if pair[0] != pair[1])
    subs = {f"{r} -> {h}": n for (r, h), n in wrong.items() if r is not None and h is not None}
    dels = {str(r): n for (r, h), n in wrong.items() if h is None}
    ins = {str(h): n for (r, h), n in wrong.items() if r is None}
    parts = [line, "", "PER-UTT DETAILS: word, or (reference->hypothesis)"]
    for utt, alignment in zip(utterances, alignments, strict=True):
        parts.append(" ".join([f"{utt}:", *map(_pair, alignment)]))
    for title, counts in (
        ("SUBSTITUTIONS: count ref -> hyp", subs),
        ("DELETIONS: count ref", dels),
        ("INSERTIONS: count hyp", ins),
    ):
        parts += ["", title]
        parts += [f"{n} {key}" for key, n in sorted(counts.items(), key=lambda x: (-x[1], x[0]))]
    parts += ["", "PER-WORD STATS: word, correct, errors, in reference, in hypothesis"]
    return "\n".join([*parts, *_per_word(flat), ""])


def _per_word(pairs: Iterable[Pair]) -> list[str]:
    """One line per word, most errors first; a substitution is an error of both its words."""
    right: Counter[str] = Counter()
    in_ref: Counter[str] = Counter()
    in_hyp: Counter[str] = Counter()
    for ref, hyp in pairs:
        if ref is not None:
            in_ref[ref] += 1
            right[ref] += ref == hyp
        if hyp is not None:
            in_hyp[hyp] += 1
    wrong = {w: in_ref[w] + in_hyp[w] - 2 * right[w] for w in in_ref.keys() | in_hyp.keys()}
    return [
        f"{word} {right[word]} {wrong[word]} {in_ref[word]} {in_hyp[word]}"
        for word in sorted(wrong, key=lambda w: (-wrong[w], w))
    ]


def _pair(pair: Pair) -> str:
    ref, hyp = ("*" if word is None else word for word in pair)
    return ref if pair[0] == pair[1] else f"({ref}->{hyp})"


def _counts_line(utt: str, counts: WordCounts, speakers: dict[str, str]) -> str:
    numbers = f"{counts.ref_words} {counts.sub} {counts.dele} {counts.ins}"
    return f"{utt} {_speaker(utt, speakers)} {numbers}\n"


def _per_speaker_words(words: dict[str, WordCounts], speakers: dict[str, str]) -> str:
    totals: dict[str, WordCounts] = {}
    sentences: Counter[str] = Counter()
    for utt, counts in words.items():
        speaker = _speaker(utt, speakers)
        totals[speaker] = totals.get(speaker, WordCounts()) + counts
        sentences[speaker] += 1
    lines = ["# speaker sentences words corr sub ins del err%"]
    for speaker, c in sorted(totals.items()):
        corr = c.ref_words - c.sub - c.dele
        lines.append(
            f"{speaker} {sentences[speaker]} {c.ref_words} {corr} {c.sub} {c.ins} {c.dele} "
            f"{c.wer:.2f}"
        )
    return "\n".join(lines) + "\n"


def _per_speaker_emotions(emotions: dict[str, tuple[str, str]], speakers: dict[str, str]) -> str:
    n: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for utt, (ref, hyp) in emotions.items():
        n[_speaker(utt, speakers)] += 1
        right[_speaker(utt, speakers)] += ref == hyp
    lines = ["# speaker utterances corr acc%"]
    lines += [f"{s} {n[s]} {right[s]} {100.0 * right[s] / n[s]:.2f}" for s in sorted(n)]
    return "\n".join(lines) + "\n"


def _confusion_table(confusion: Confusion) -> str:
    width = max(len("ref\\hyp"), *map(len, confusion.labels), len(str(confusion.n))) + 1
    rows: list[Iterable[object]] = [("ref\\hyp", *confusion.labels)]
    rows += [(label, *row) for label, row in zip(confusion.labels, confusion.counts, strict=True)]
    return "".join("".join(str(x).ljust(width) for x in row).rstrip() + "\n" for row in rows)


def _speaker(utt: str, speakers: dict[str, str]) -> str:
    if utt not in speakers:
        raise DataError(f"utt2spk of the test set has no speaker for {utt}")
    return speakers[utt]
