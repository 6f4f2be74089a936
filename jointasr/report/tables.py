"""The report's tables, from cells, comparisons and findings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jointasr.config.schema import Report
from jointasr.report import methods as methods_
from jointasr.report import table
from jointasr.report.ablation import AblationRow, SystemValue
from jointasr.report.analysis import METRICS, Comparison, Estimate, Metric
from jointasr.report.elements import Block, Cell, Paragraph, Table, Tone
from jointasr.report.findings import Finding
from jointasr.report.stats import FEWEST_SPEAKERS, Interval
from jointasr.report.table import DASH, NAMES, TRAIN, Cells, Trio, number

PaperTable = Mapping[tuple[str, str], Mapping[str, float]]
Estimates = Mapping[tuple[str, str, str, Metric], Estimate]
TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "open": "unsure", "no worse": ""}
IMP = {"wer": "Rel Imp in relative %", "acc": "Rel Imp in points"}
HEADS = ("clean", "noise")  # what was trained on
COLUMNS = ("base", "joint", "Rel Imp")


def table1(cells: Cells, trio: Trio, tests: Sequence[str], paper: PaperTable | None) -> list[Block]:
    """Table 1; with the paper's numbers, one table a metric and condition, ours beside theirs."""
    ours = table.table1(cells, trio, tests)
    theirs = table.paper_rows(paper, tests) if paper is not None else []
    blocks: list[Block] = []
    for m, metric in enumerate(METRICS):
        title = f"{METRICS[metric]}, %; {IMP[metric]}"
        if paper is None:
            header = ["test", *(f"{train} {name}" for train in HEADS for name in COLUMNS)]
            rows = [[t, *map(number, row[6 * m : 6 * m + 6])] for t, row in _rows(tests, ours)]
            blocks.append(Table(title, header, rows))
            continue
        for c, train in enumerate(TRAIN):
            whose = [f"{who} {name}" for who in ("ours", "paper") for name in COLUMNS]
            place = 6 * m + 3 * c
            rows = [
                [test, *map(number, (*mine[place : place + 3], *paper_row[place : place + 3]))]
                for test, mine, paper_row in zip(tests, ours, theirs, strict=True)
            ]
            blocks.append(Table(f"{NAMES[train]}: {title}", ["test", *whose], rows))
    return blocks


def comparisons(found: Sequence[Comparison], trio: Trio, conf: Report) -> list[Block]:
    """Joint against baseline with intervals, p values and what they say."""
    blocks: list[Block] = []
    for metric, name in METRICS.items():
        own = [one for one in found if one.metric == metric]
        if not own:
            continue
        margin = conf.margin_wer if metric == "wer" else conf.margin_acc
        base = trio.asr if metric == "wer" else trio.ser
        pairs = "matched pairs" if metric == "wer" else "McNemar"
        header = ["cell", base, trio.joint, "gain", "verdict", "these speakers", "new speakers"]
        header += [f"p {pairs}", "Holm", "p speakers", "Holm", f"p no worse by {margin:g}"]
        header += ["the same, new speakers"]
        rows = [[f"{NAMES[one.train]}, {one.test}", *_comparison(one, conf)] for one in own]
        blocks.append(Table(f"{name}: points gained by the joint system", header, rows))
    few = any(one.p_speakers is None for one in found)
    note = (
        "Gains are points, positive where the joint system is better. Intervals are 95 %: for more "
        "speech of these speakers (paired bootstrap over utterances) and for new speakers (t over "
        "the gain of each speaker, around their mean). Two-sided p over utterances: matched-pairs "
        "sentence-segment test for WER, McNemar's exact test for accuracy. p speakers: one-sided "
        "sign flip, exact, over speakers"
    )
    note += f" (fewer than {FEWEST_SPEAKERS} are too few). " if few else ". "
    note += (
        "Holm corrects for all cells of a metric. p no worse: one-sided, the joint system loses at "
        f"least the margin; below {conf.level:g} it does not. Verdict: better or worse where "
        f"Holm's two-sided p is below {conf.level:g}; else no worse, where the margin is excluded; "
        "else open."
    )
    return [*blocks, Paragraph(note)]


def word_errors(cells: Cells, tests: Sequence[str], estimates: Estimates) -> Table:
    """Every system's word errors: the parts of the sum, and how sure the rate is."""
    header = ["system and test", "WER", "these speakers", "new speakers"]
    header += ["sub", "del", "ins", "words"]
    rows = []
    for name, cell in _cells(cells, tests, "wer"):
        wer = cell["wer"]
        counts = [str(wer[key]) for key in ("sub", "del", "ins", "ref_words")]
        rows.append([name, number(wer["value"]), *_intervals(estimates, cell, "wer"), *counts])
    return Table("Word errors, WER in %", header, rows)


def emotions(cells: Cells, tests: Sequence[str], estimates: Estimates) -> Table:
    """Every system's accuracies and calibration."""
    header = ["system and test", "WA", "these speakers", "new speakers"]
    header += ["UA", "macro-F1", "ECE", "utterances"]
    rows = []
    for name, cell in _cells(cells, tests, "acc"):
        acc = cell["acc"]
        values = [number(acc[key]) for key in ("ua", "macro_f1", "ece")]
        intervals = _intervals(estimates, cell, "acc")
        rows.append([name, number(acc["wa"]), *intervals, *values, str(acc["n"])])
    return Table(
        "Emotions, %: weighted (WA, the paper's) and unweighted (UA) accuracy, macro-F1, expected "
        "calibration error (ECE)",
        header,
        rows,
    )


def parted(cells: Cells, tests: Sequence[str], keys: Sequence[str]) -> list[Block]:
    """Rates of the parts of the test sets, a column each: ``keys`` are by_style, by_fold ..."""
    blocks: list[Block] = []
    for metric, value in (("wer", "value"), ("acc", "wa")):
        listed = list(_cells(cells, tests, metric))
        columns = {
            (key, part): None for _, cell in listed for key in keys for part in cell.get(key, {})
        }
        rows = []
        for name, cell in listed:
            found = [cell.get(key, {}).get(part, {}).get(metric) for key, part in columns]
            total = cell[metric][value]
            rows.append([name, *(number(x and x[value]) for x in found), number(total)])
        what = "WER" if metric == "wer" else "Accuracy (of one emotion: its recall)"
        if rows and columns:
            header = ["system and test", *(part for _, part in columns), "all"]
            blocks.append(Table(f"{what}, %", header, rows))
    return blocks


def confusions(cells: Cells, test: str) -> list[Block]:
    """Who was taken for what in one scenario."""
    blocks: list[Block] = []
    for _, cell in _cells(cells, [test], "acc"):
        if cell.get("confusion"):
            labels, counts = cell["confusion"]["labels"], cell["confusion"]["counts"]
            rows = [[label, *map(str, row)] for label, row in zip(labels, counts, strict=True)]
            caption = f"{cell['system']}, {NAMES[cell['train']]}, {test}: spoken, by row"
            blocks.append(Table(caption, ["spoken", *labels], rows))
    return blocks


def ablations(found: Sequence[AblationRow]) -> list[Block]:
    """A row for each system: its rates, and the points gained over the one it varies."""
    header = ["system", "seeds"]
    for metric in METRICS.values():
        for where in ("clean", "noisy tests"):
            header += [f"{metric} {where}", "gain", "these speakers"]
    rows: list[list[str | Cell]] = []
    for row in found:
        line: list[str | Cell] = [f"{row.system}, {NAMES[row.train]}"]
        line.append(" ".join(map(str, row.seeds)))
        for metric in METRICS:
            line += [*_gain(row.clean.get(metric)), *_gain(row.noisy.get(metric))]
        rows.append(line)
    note = (
        "Means over seeds; noisy tests: mean over all scenarios but the clean one. Gains are "
        "points over the system of the same kind in Table 1, trained alike, positive: better; 95 % "
        "intervals by the paired bootstrap over utterances. No gain: the base itself, or tested on "
        "other utterances."
    )
    return [Table("Systems against the one they vary, %", header, rows), Paragraph(note)]


def methods(found: Sequence[methods_.MethodRow]) -> list[Block]:
    """A row for each method with the models of a system and condition."""
    header = ["system and method"]
    for where in ("clean", "noisy tests"):
        header += [f"WER {where}", "these speakers", "improvised", "scripted", "gain", "interval"]
    header += ["search s / s", "GiB", "ECE of words"]
    rows: list[list[str | Cell]] = []
    for row in found:
        line: list[str | Cell] = [f"{row.system}, {NAMES[row.train]}, {row.method}"]
        for value in (row.clean, row.noisy):
            line += _method(value)
        search = DASH if row.search is None else f"{row.search:.3f}"
        rows.append([*line, search, number(row.memory), number(row.calibration)])
    note = (
        "The same models, searched otherwise (conf/decode.yaml). Noisy tests: mean over all "
        "scenarios but the clean one. Gains are points below the default method, with 95 % "
        "intervals by the paired bootstrap over utterances. Scripted sentences recur in training, "
        "so a language model knows some of them word for word: look at improvised speech. Search: "
        "seconds for a second of audio, after the encoder; memory: the most that a job had."
    )
    return [Table("Methods of decoding, WER in %", header, rows), Paragraph(note)]


def _method(value: methods_.MethodValue | None) -> list[str]:
    if value is None:
        return [DASH] * 6
    styles = [number(rate) for rate in value.styles.values()]
    gain = [DASH, DASH]
    if value.gain is not None:
        gain = [number(value.gain.value), interval(value.gain.these)]
    return [number(value.wer.value), interval(value.wer.these), *styles, *gain]


def audit(found: Sequence[Finding]) -> Table:
    """What was looked at and found."""
    tones: dict[bool | None, Cell] = {
        True: Cell("ok", "good"),
        False: Cell("wrong", "bad"),
        None: Cell("to know", ""),
    }
    rows: list[list[str | Cell]] = [
        [one.check, one.where, one.value, tones[one.ok]] for one in found
    ]
    return Table("", ["looked at", "where", "found", "verdict"], rows, words=True)


def p_value(p: float | None) -> str:
    """Three digits; ``<.001`` below."""
    if p is None:
        return DASH
    return "<.001" if p < 0.001 else f"{p:.3f}"


def interval(found: Interval | None) -> str:
    """``[low, high]``."""
    return DASH if found is None else f"[{number(found.low)}, {number(found.high)}]"


def _comparison(one: Comparison, conf: Report) -> list[str | Cell]:
    verdict = one.verdict(conf.level)
    numbers = [number(value) for value in (one.base, one.joint, one.gain)]
    p_values = (one.p, one.p_holm, one.p_speakers, one.p_speakers_holm, one.p_no_worse)
    intervals = [interval(one.these), interval(one.new)]
    texts = [*map(p_value, p_values), p_value(one.p_no_worse_speakers)]
    if one.p_speakers is None:
        texts[2] = "too few"
    return [*numbers, Cell(verdict, TONES[verdict]), *intervals, *texts]


def _intervals(estimates: Estimates, cell: Mapping[str, Any], metric: Metric) -> list[str]:
    found = estimates.get((cell["system"], cell["train"], cell["test"], metric))
    return [DASH, DASH] if found is None else [interval(found.these), interval(found.new)]


def _gain(value: SystemValue | None) -> list[str]:
    if value is None:
        return [DASH] * 3
    if value.gain is None:
        return [number(value.rate), DASH, DASH]
    return [number(value.rate), number(value.gain.value), interval(value.gain.these)]


def _cells(
    cells: Cells, tests: Sequence[str], metric: str
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """(title, cell) of all systems that have the metric."""
    for system in cells.systems:
        for train in TRAIN:
            for test in tests:
                cell = cells.get(system, train, test)
                if cell is not None and cell[metric]:
                    yield f"{system}, {NAMES[train]}, {test}", cell


def _rows(
    tests: Sequence[str], rows: Sequence[table.TableRow]
) -> Iterable[tuple[str, table.TableRow]]:
    return zip(tests, rows, strict=True)
