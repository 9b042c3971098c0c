"""``python -m benchmarks calibration [--fast]``: the model detectors on a zoo of small models, and the table of probabilities.

Trains what is missing of the zoo, runs every detector on every model of it, writes the tables into docs/calibration.md and the
coefficients into the package. ``--fast`` does a few of each, prints the tables and writes neither.
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from benchmarks import audits, machine, nulls, priors, zoo
from benchmarks.audits import Audited
from turncoat.audit import calibrate
from turncoat.audit.calibrate import Example, cross_fitted, fit_table
from turncoat.audit.verdict import Verdict, judge
from turncoat.data.places import data_home
from turncoat.detect.metrics import auroc_interval, brier, cross_entropy
from turncoat.evaluate.intervals import wilson
from turncoat.train import place

ALPHA = 0.01
LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75)
DOCS = Path(__file__).parent.parent / "docs" / "calibration.md"
TABLE = Path(calibrate.__file__).parent / "calibration.json"
BEGIN, END = "<!-- measured: python -m benchmarks calibration -->", "<!-- /measured -->"
VERDICT = "verdict"
UNASKED = frozenset(one.name for one in audits.detectors() if one.beside_others)
"""Methods that an audit with clean images runs."""
ROUNDED = 0.1
"""Shares from here on are told in whole percents."""

Rows = list[list[str]]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks calibration", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="a few of each, printed alone")
    parser.add_argument("--folder", type=Path, default=data_home() / "calibration", help="where models and findings are kept")
    parser.add_argument("--methods", nargs="+", default=())
    parser.add_argument("--audited", action="store_true", help="no training and no audit: tables of what the folder holds")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))  # images this small leave a second thread waiting
    placement = place()
    counts = zoo.FAST if asked.fast else zoo.COUNTS
    wanted = [animal for data in counts for animal in zoo.animals(data, counts[data])]
    if not asked.audited:
        zoo.grow(wanted, asked.folder, placement)
    trained = zoo.read(wanted, asked.folder)
    methods = audits.detectors(asked.methods)
    audited = audits.audit([one for one in trained if _usable(one)], methods, asked.folder, placement, asked.audited)
    where = f"{machine.name(placement)}; torch {torch.__version__}; {placement.precision}"
    text = report(trained, audited, [method.name for method in methods], where)
    if not asked.fast:
        text += "\n\n" + against_references(nulls.p_values(audited, methods, asked.folder, placement))
    print(text)
    if not asked.fast:
        before, _, rest = DOCS.read_text().partition(BEGIN)
        DOCS.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2])
        TABLE.write_text(table_of(audited, [method.name for method in methods]) + "\n")


def _usable(trained: zoo.Trained) -> bool:
    return trained.asr is None or trained.backdoored


def report(trained: Sequence[zoo.Trained], audited: Sequence[Audited], methods: Sequence[str], where: str) -> str:
    """All tables as Markdown."""
    audited = [one for one in audited if one.findings]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    clean = sum(_is_clean(one) for one in audited)
    backdoored = len(audited) - clean
    parts = [
        f"Measured {date} on {where}; {clean} clean and {backdoored} backdoored models audited. Intervals are of 95%.",
        _table("The zoo", ["models", "trained", "ASR > 50%", "audited", "median CA", "median ASR"], _zoo(trained, audited)),
        _table(
            f"False alarms on clean models at alpha {ALPHA:g}, and the share of clean models with a p-value up to a level "
            "(what a uniform p-value would have is the level itself; less is conservative)",
            ["method", "models", f"alarms at {ALPHA:g}", *(f"p <= {level:g}" for level in LEVELS)],
            _false_alarms(audited, methods),
        ),
        _table(
            f"Detected at alpha {ALPHA:g}, of backdoored models; the verdict is Holm's over the methods that an audit with clean "
            f"images runs unasked: {', '.join(name for name in methods if name in UNASKED)}",
            ["attack", *methods, VERDICT, "right target, of the detected"],
            _detected(audited, methods),
        ),
        _table(
            "AUROC of each method's statistic, and of the verdict's p-value, against the clean models of the same data",
            ["attack", "n", *methods, VERDICT],
            _areas(audited, methods),
        ),
        _table(
            "Probability, of attack families that its model was not fitted on, clean and poisoned weighted alike; a coin has "
            "Brier 0.25 and cross-entropy 0.693",
            ["attack", "n", "Brier score", "cross-entropy", "mean probability"],
            _probabilities(audited, methods),
        ),
        _spreads([one for one in audited if _is_clean(one)]),
        _table("Seconds a model", ["method", "median", "passes"], _seconds(audited, methods)),
    ]
    return "\n\n".join(parts)


def against_references(found: Mapping[tuple[str, str], list[tuple[str, float]]]) -> str:
    """How p-values by references come out, on clean and on poisoned models."""
    floor = 1 / (nulls.COUNT + 1)
    rows: Rows = []
    for (method, kind), values in found.items():
        level = floor if kind == "rank" else ALPHA
        cells: list[str] = []
        for families in (("clean",), ("badnets",), zoo.FAMILIES[1:], zoo.ADAPTIVE):
            own = [p for family, p in values if family in families]
            cells.append(_share(sum(p <= level + 1e-9 for p in own), len(own)))
        rows.append([method, kind, f"{level:.3g}", *cells])
    title = (
        f"p-values by {nulls.COUNT} references, trained on 200 clean digits: share of models at or under a level. 'rank' is "
        f"(1 + #)/(m + 1), at least {floor:.3f}; 'class effect' the model's own p-value without the effects of the classes"
    )
    return _table(title, ["method", "p-value", "level", "clean", "badnets", "other attacks", "those who know"], rows)


def _spreads(clean: Sequence[Audited]) -> str:
    title = (
        "Spread of the statistics' logarithms over the classes of a clean model, the middle one of each kind, and the prior "
        f"(deviation, degrees of freedom) that all give by moments, kinds weighing alike. Kinds: {priors.kinds(clean)}"
    )
    head = ["statistic", "by kind", "prior", "of the even-numbered models", "of the odd-numbered"]
    return _table(title, head, priors.rows(clean))


def _table(title: str, head: Sequence[str], rows: Rows) -> str:
    lines = [list(head), ["---"] * len(head), *rows]
    return f"**{title}.**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _is_clean(one: Audited) -> bool:
    return one.trained.animal.family == "clean"


def _group(one: zoo.Trained) -> str:
    return one.animal.family + ("" if one.animal.data == "digits" else ", 28x28")


def _groups(audited: Sequence[Audited]) -> dict[str, list[Audited]]:
    """The poisoned by attack, those who know the detectors last."""
    order = ["clean", *zoo.FAMILIES, *zoo.ADAPTIVE]
    ranked = sorted(audited, key=lambda one: (order.index(one.trained.animal.family), _group(one.trained)))
    found: dict[str, list[Audited]] = {}
    for one in ranked:
        if not _is_clean(one):
            found.setdefault(_group(one.trained), []).append(one)
    return found


def _zoo(trained: Sequence[zoo.Trained], audited: Sequence[Audited]) -> Rows:
    done = [_group(one.trained) for one in audited]
    rows: Rows = []
    for group in dict.fromkeys(map(_group, trained)):
        own = [one for one in trained if _group(one) == group]
        asr = [one.asr for one in own if one.asr is not None]
        kept = str(sum(one.backdoored for one in own)) if asr else ""
        middle = f"{_median(asr):.0%}" if asr else ""
        rows.append([group, str(len(own)), kept, str(done.count(group)), f"{_median([one.ca for one in own]):.1%}", middle])
    return rows


def _false_alarms(audited: Sequence[Audited], methods: Sequence[str]) -> Rows:
    clean = [one for one in audited if _is_clean(one)]
    rows: Rows = []
    for method in (*methods, VERDICT):
        for name, some in _kinds(clean):
            values = list(_p_values(some, method))
            alarms = sum(p <= ALPHA for p in values)
            shares = [f"{sum(p <= level for p in values) / max(1, len(values)):.2f}" for level in LEVELS]
            rows.append([method, name, _share(alarms, len(values)), *shares])
    return rows


def _kinds(clean: Sequence[Audited]) -> Iterator[tuple[str, list[Audited]]]:
    yield "all", list(clean)
    for data in dict.fromkeys(one.trained.animal.data for one in clean):
        yield data, [one for one in clean if one.trained.animal.data == data]


def _detected(audited: Sequence[Audited], methods: Sequence[str]) -> Rows:
    rows: Rows = []
    for group, some in _groups(audited).items():
        cells: list[str] = []
        for method in (*methods, VERDICT):
            values = list(_p_values(some, method))
            cells.append(_share(sum(p <= ALPHA for p in values), len(values)))
        rows.append([group, *cells, _right(some)])
    return rows


def _right(some: Sequence[Audited]) -> str:
    """Where there is one target."""
    found = [one for one in some if one.whole and one.trained.target is not None and _verdict(one).answer == "suspicious"]
    return f"{sum(_verdict(one).target == one.trained.target for one in found)}/{len(found)}" if found else ""


def _areas(audited: Sequence[Audited], methods: Sequence[str]) -> Rows:
    rows: Rows = []
    for group, some in _groups(audited).items():
        data = some[0].trained.animal.data
        clean = [one for one in audited if _is_clean(one) and one.trained.animal.data == data]
        cells: list[str] = []
        for method in (*methods, VERDICT):
            low, high = list(_statistics(clean, method)), list(_statistics(some, method))
            cells.append(_area(low, high) if low and high else "")
        rows.append([group, str(len(some)), *cells])
    return rows


def _area(low: Sequence[float], high: Sequence[float]) -> str:
    truth = torch.tensor([False] * len(low) + [True] * len(high))
    found = auroc_interval(torch.tensor([*low, *high], dtype=torch.float64), truth)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _probabilities(audited: Sequence[Audited], methods: Sequence[str]) -> Rows:
    examples = [_example(one) for one in audited]
    if len({one.family for one in examples} - {None}) < 2:
        return []
    given = cross_fitted(examples, methods)
    rows: Rows = []
    scores: dict[str, tuple[float, float]] = {}
    for family in dict.fromkeys(one.family or "clean" for one in examples):
        own = given[[(one.family or "clean") == family for one in examples]]
        truth = torch.full((len(own),), family != "clean")
        scores[family] = brier(own, truth), cross_entropy(own, truth)
        cells = [f"{scores[family][0]:.3f}", f"{scores[family][1]:.3f}", f"{float(own.mean()):.2f}"]
        rows.append([family, str(len(own)), *cells])
    poisoned = [score for family, score in scores.items() if family != "clean"]
    both = [(sum(score[at] for score in poisoned) / len(poisoned) + scores["clean"][at]) / 2 for at in (0, 1)]
    return [*rows, ["all, families alike", str(len(examples)), f"{both[0]:.3f}", f"{both[1]:.3f}", ""]]


def _seconds(audited: Sequence[Audited], methods: Sequence[str]) -> Rows:
    rows: Rows = []
    for method in methods:
        found = [one.findings[method] for one in audited if method in one.findings]
        if found:
            rows.append(
                [method, f"{_median([one.seconds for one in found]):.1f}", f"{_median([one.passes for one in found]):,.0f}"]
            )
    return rows


def table_of(audited: Sequence[Audited], methods: Sequence[str]) -> str:
    """The coefficients of all sets of methods, fitted on the whole zoo, as the package ships them."""
    examples = [_example(one) for one in audited if one.findings]
    clean = sum(one.family is None for one in examples)
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    families = sorted({one.family for one in examples if one.family is not None})
    origin = {"date": date, "clean": clean, "poisoned": len(examples) - clean, "families": families, "zoo": "digits and glyphs"}
    known = [method for method in methods if any(method in one.p_values for one in examples)]
    return fit_table(examples, known, origin).to_json()


def _example(one: Audited) -> Example:
    family = None if _is_clean(one) else one.trained.animal.family
    return Example(family, {name: finding.p_value for name, finding in one.findings.items()})


def _verdict(one: Audited) -> Verdict:
    findings = {name: finding for name, finding in one.findings.items() if name in UNASKED} or one.findings
    return judge(findings, {name: finding.p_value for name, finding in findings.items()}, ALPHA)


def _p_values(some: Sequence[Audited], method: str) -> Iterator[float]:
    for one in some:
        if method == VERDICT and one.whole:
            yield _verdict(one).p_value
        elif method in one.findings:
            yield one.findings[method].p_value


def _statistics(some: Sequence[Audited], method: str) -> Iterator[float]:
    for one in some:
        if method == VERDICT and one.whole:
            yield -_verdict(one).p_value
        elif method in one.findings:
            yield one.findings[method].statistic


def _share(hits: int, n: int) -> str:
    if n == 0:
        return ""
    low, high = wilson(hits, n)
    return f"{hits}/{n} ({low:.1%} to {high:.1%})" if high < ROUNDED else f"{hits}/{n} ({low:.0%} to {high:.0%})"


def _median(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).quantile(0.5))
