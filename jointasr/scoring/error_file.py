"""Text of the error file ``errs``, in the format of icefall: alignments and confusions of words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jointasr.scoring.metrics import Pair


def text(
    wer_line: str,
    alignments: Mapping[str, list[Pair]],
    posteriors: Mapping[str, Sequence[float]],
) -> str:
    """Return the text: alignments, counts of each error, and counts of each word.

    ``wer_line`` is the first line. ``posteriors`` has a value for each hypothesis word of those
    utterances for which the decoding method estimates them.
    """
    pairs = [pair for alignment in alignments.values() for pair in alignment]
    wrong = Counter(pair for pair in pairs if pair[0] != pair[1])
    subs = {f"{r} -> {h}": n for (r, h), n in wrong.items() if r is not None and h is not None}
    dels = {str(r): n for (r, h), n in wrong.items() if h is None}
    ins = {str(h): n for (r, h), n in wrong.items() if r is None}
    posterior = "; after ~, the posterior of the hypothesis word" if posteriors else ""
    lines = [wer_line, "", f"PER-UTT DETAILS: word, or (reference->hypothesis){posterior}"]
    for utt, alignment in alignments.items():
        values = iter(posteriors.get(utt, []))
        lines.append(" ".join([f"{utt}:", *(_pair(pair, values) for pair in alignment)]))
    for title, counts in (
        ("SUBSTITUTIONS: count ref -> hyp", subs),
        ("DELETIONS: count ref", dels),
        ("INSERTIONS: count hyp", ins),
    ):
        lines += ["", title]
        lines += [f"{n} {key}" for key, n in sorted(counts.items(), key=lambda x: (-x[1], x[0]))]
    lines += ["", "PER-WORD STATS: word, correct, errors, in reference, in hypothesis"]
    return "\n".join([*lines, *_per_word(pairs), ""])


def _per_word(pairs: Iterable[Pair]) -> list[str]:
    """Return a line per word, most errors first; a substitution is an error of both its words."""
    correct: Counter[str] = Counter()
    in_ref: Counter[str] = Counter()
    in_hyp: Counter[str] = Counter()
    for ref, hyp in pairs:
        if ref is not None:
            in_ref[ref] += 1
            correct[ref] += ref == hyp
        if hyp is not None:
            in_hyp[hyp] += 1
    wrong = {w: in_ref[w] + in_hyp[w] - 2 * correct[w] for w in in_ref.keys() | in_hyp.keys()}
    return [
        f"{word} {correct[word]} {wrong[word]} {in_ref[word]} {in_hyp[word]}"
        for word in sorted(wrong, key=lambda w: (-wrong[w], w))
    ]


def _pair(pair: Pair, posteriors: Iterator[float]) -> str:
    ref, hyp = ("*" if word is None else word for word in pair)
    posterior = next(posteriors, None) if pair[1] is not None else None
    suffix = "" if posterior is None else f"~{posterior:.2f}"
    return f"{ref}{suffix}" if pair[0] == pair[1] else f"({ref}->{hyp}{suffix})"
