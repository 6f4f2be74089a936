"""Texts of the files that scoring leaves beside the hypotheses, in Kaldi's and icefall's manner."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jointasr.scoring.metrics import Confusion, Pair, WordCounts


def errors(
    line: str,
    utterances: Sequence[str],
    alignments: Sequence[list[Pair]],
    posteriors: Mapping[str, Sequence[float]],
) -> str:
    """Text of the error file: every utterance aligned, then what was confused with what.

    ``posteriors``: of each word recognised, of utterances where they are known.
    """
    flat = [pair for alignment in alignments for pair in alignment]
    wrong = Counter(pair for pair in flat if pair[0] != pair[1])
    subs = {f"{r} -> {h}": n for (r, h), n in wrong.items() if r is not None and h is not None}
    dels = {str(r): n for (r, h), n in wrong.items() if h is None}
    ins = {str(h): n for (r, h), n in wrong.items() if r is None}
    posterior = "; with ~, the posterior of what was recognised" if posteriors else ""
    parts = [line, "", f"PER-UTT DETAILS: word, or (reference->hypothesis){posterior}"]
    for utt, alignment in zip(utterances, alignments, strict=True):
        known = iter(posteriors.get(utt, []))
        parts.append(" ".join([f"{utt}:", *(_pair(pair, known) for pair in alignment)]))
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


def _pair(pair: Pair, posteriors: Iterator[float]) -> str:
    ref, hyp = ("*" if word is None else word for word in pair)
    posterior = next(posteriors, None) if pair[1] is not None else None
    told = "" if posterior is None else f"~{posterior:.2f}"
    return f"{ref}{told}" if pair[0] == pair[1] else f"({ref}->{hyp}{told})"


def words_by(groups: Mapping[str, WordCounts], sentences: Mapping[str, int], what: str) -> str:
    """Word errors of groups of utterances (per_spk, per_emo, per_style), a line each."""
    lines = [f"# {what} sentences words corr sub ins del err%"]
    for name, c in sorted(groups.items()):
        corr = c.ref_words - c.sub - c.dele
        lines.append(
            f"{name} {sentences[name]} {c.ref_words} {corr} {c.sub} {c.ins} {c.dele} {c.wer:.2f}"
        )
    return "\n".join(lines) + "\n"


def accuracy_by(groups: Mapping[str, Confusion], what: str) -> str:
    """Accuracies of groups of utterances, a line each."""
    lines = [f"# {what} utterances corr acc%"]
    lines += [f"{name} {c.n} {c.correct} {c.wa:.2f}" for name, c in sorted(groups.items())]
    return "\n".join(lines) + "\n"


def confusion_table(confusion: Confusion) -> str:
    """The matrix, rows: reference, columns: recognised."""
    width = max(len("ref\\hyp"), *map(len, confusion.labels), len(str(confusion.n))) + 1
    rows: list[Iterable[object]] = [("ref\\hyp", *confusion.labels)]
    rows += [(label, *row) for label, row in zip(confusion.labels, confusion.counts, strict=True)]
    return "".join("".join(str(x).ljust(width) for x in row).rstrip() + "\n" for row in rows)
