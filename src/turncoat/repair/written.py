"""A repair as a reader sees it: one JSON object, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from turncoat.evaluate.rows import Row
from turncoat.repair.run import RepairResult, Seen
from turncoat.repair.success import Share
from turncoat.report.blocks import Block, Facts, Picture, Pictures, Table, Text
from turncoat.report.numbers import duration, percent
from turncoat.report.sheet import Lead, Sheet
from turncoat.triggers.base import to_uint8

Known = Mapping[str, tuple[Row, Row]]
"""Of a trial's own attack, by metric, before and after."""

_IN_WORDS = {
    "ca": "clean accuracy, test images",
    "asr": "attack success rate, its own trigger",
    "ra": "accuracy under its own trigger",
}


def as_json(result: RepairResult, known: Known, out: Path | None, notes: Sequence[str]) -> dict[str, object]:
    """All shares are in [0, 1], with 95% intervals and n; null where there is nothing to tell one by."""
    return {
        "method": result.repair.model_dump(mode="json"),
        "left_as_it_came": result.left or None,
        "out": None if out is None else str(out),
        "before": _seen(result.before),
        "after": _seen(result.after),
        "known_attack": {metric: {"before": _row(a), "after": _row(b)} for metric, (a, b) in known.items()} or None,
        "target": result.target,
        "attempts": [
            {
                "name": each.repair.name,
                "seen": _seen(each.seen),
                "details": each.details,
                "left_as_it_came": each.left or None,
                "seconds": each.seconds,
            }
            for each in result.attempts
        ],
        "refused": dict(result.refused),
        "seconds": result.seconds,
        "notes": list(notes),
    }


def rows(result: RepairResult, known: Known) -> list[tuple[str, str, str]]:
    """The before/after table: what, before, after."""
    pairs = [
        ("accuracy, validation images", result.before.accuracy, result.after.accuracy),
        ("success of the recovered trigger", result.before.success, result.after.success),
    ]
    table = [(what, told(a), told(b)) for what, a, b in pairs if a is not None or b is not None]
    if result.before.p_value is not None or result.after.p_value is not None:
        table.append(("p-value of the audit", _p(result.before.p_value), _p(result.after.p_value)))
    for metric, (a, b) in known.items():
        table.append((_IN_WORDS.get(metric, metric), told(_share(a)), told(_share(b))))
    return table


def lead(result: RepairResult) -> str:
    """What was done, in a sentence."""
    tried = len(result.attempts)
    if result.left:
        return f"Not repaired, left as it came: by {result.repair.name}, {result.left}"
    how = f"Repaired by {result.repair.name}" + (f", the best of {tried} methods by the defender's images" if tried > 1 else "")
    if result.before.accuracy is None or result.after.accuracy is None:
        return how
    before, after = (percent(share.value) for share in (result.before.accuracy, result.after.accuracy))
    return f"{how}: validation accuracy {before}% before, {after}% after"


def sheet(result: RepairResult, known: Known, name: str, notes: Sequence[str]) -> Sheet:
    """The page of a repair."""
    blocks: list[Block] = [
        Table(("", "before", "after"), rows(result, known), title="Before and after", caption=_CAPTION),
        Facts([("Method", result.repair.name), ("Settings", _settings(result)), ("Time", duration(result.seconds))]),
    ]
    blocks += [Text([note], tone="bad") for note in notes]
    if result.trigger is not None:
        mask, pattern = result.trigger.mask.cpu(), result.trigger.pattern.cpu()
        pasted = 0.5 + mask * (pattern - 0.5)
        items = [
            Picture(to_uint8(mask[None])[0].numpy(), "mask"),
            Picture(to_uint8(pasted[None])[0].numpy(), "trigger", "what is pasted, on grey"),
        ]
        blocks.append(Pictures(items, title="The trigger that the audit recovered", side=112))
    head = ("method", "validation accuracy", "recovered trigger", "decided", "time")
    tried = [
        (
            each.repair.name,
            told(each.seen.accuracy),
            told(each.seen.success),
            ", ".join(f"{key} {value:g}" for key, value in each.details.items() if not key.startswith("validation"))
            if not each.left
            else f"left as it came: {each.left}",
            duration(each.seconds),
        )
        for each in result.attempts
    ]
    blocks.append(Table(head, tried, title="What was tried"))
    blocks += [Text([f"{method} could not repair this model: {why}" for method, why in result.refused.items()], quiet=True)]
    return Sheet(f"Repair of {name}", Lead(lead(result)), blocks)


_CAPTION = (
    "The repair and all that it tuned were chosen by the validation images and the recovered trigger. Figures of the trial's own "
    "attack, where there are some, were measured after that choice and had no part in it."
)


def told(share: Share | None) -> str:
    """``94.2% [92.0%, 95.9%], n = 500``."""
    if share is None:
        return "\N{EN DASH}"
    return f"{percent(share.value)}% [{percent(share.low)}, {percent(share.high)}], n = {share.n:,}"


def _p(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.2g}"


def _share(row: Row) -> Share:
    return Share(row.value, row.low or 0.0, 1.0 if row.high is None else row.high, row.n or 0)


def _seen(seen: Seen) -> dict[str, object]:
    shares = {"accuracy": seen.accuracy, "trigger_success": seen.success}
    return {**{key: None if value is None else asdict(value) for key, value in shares.items()}, "p_value": seen.p_value}


def _row(row: Row) -> dict[str, object]:
    return asdict(_share(row))


def _settings(result: RepairResult) -> str:
    return ", ".join(f"{key} {value}" for key, value in result.repair.model_dump(mode="json").items() if key != "name")
