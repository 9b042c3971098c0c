"""A model's audit as files: one JSON object, the trigger as a picture, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from turncoat.audit.model import ModelAudit
from turncoat.detect.models.base import Trigger
from turncoat.evaluate.intervals import wilson
from turncoat.report.blocks import Bars, Block, Facts, Picture, Pictures, Table, Text
from turncoat.report.numbers import duration, percent
from turncoat.report.sheet import Lead, Sheet, write_sheet
from turncoat.triggers.base import to_float, to_uint8

TRIGGER, PAGE = "trigger.png", "report.html"
_SHOWN = 6


def write_audit(audit: ModelAudit, out: Path, name: str) -> dict[str, object]:
    """Write the page, and the picture of the trigger where one was recovered, into ``out``; return the JSON object.

    name: of the model, for the page's title. Each file is whole or not there.
    """
    out.mkdir(parents=True, exist_ok=True)
    trigger = out / TRIGGER if audit.trigger is not None else None
    if audit.trigger is not None and trigger is not None:
        _write_picture(audit.trigger, trigger)
    write_sheet(out / PAGE, sheet(audit, name))
    return as_json(audit, trigger)


def as_json(audit: ModelAudit, trigger: Path | None) -> dict[str, object]:
    """The audit as one JSON object; trigger: path of its picture."""
    verdict, share = audit.verdict, audit.accuracy
    found = trigger is not None and verdict.answer == "suspicious"
    return {
        "verdict": verdict.answer,
        "p_value": verdict.p_value,
        "alpha": audit.alpha,
        "probability": audit.probability,
        "target": verdict.target,
        "target_name": audit.class_name(verdict.target),
        "trigger": str(trigger) if found else None,
        "agreeing": verdict.agreeing,
        "methods": [
            {
                "name": name,
                "p_value": audit.p_values[name],
                "adjusted": verdict.adjusted[name],
                "own_p_value": finding.p_value,
                "target": finding.target,
                "target_name": audit.class_name(finding.target),
                "statistic": finding.statistic,
                "class_scores": list(finding.class_scores),
                "passes": finding.passes,
                "seconds": finding.seconds,
                "details": {what: value if isfinite(value) else None for what, value in finding.details.items()},
            }
            for name, finding in audit.findings.items()
        ],
        "refused": dict(audit.refused),
        "references": audit.references,
        "clean_accuracy": None if share is None else share.accuracy,
        "clean_accuracy_interval": None if share is None else list(wilson(share.right, share.n)),
        "clean_images": 0 if share is None else share.n,
        "passes": audit.passes,
        "seconds": audit.seconds,
        "source": audit.source,
        "classes": list(audit.classes),
        "notes": list(audit.notes),
    }


def lead(audit: ModelAudit) -> str:
    """The verdict in a sentence."""
    verdict = audit.verdict
    if verdict.answer == "clean":
        return f"Nothing stands out: no sign of a backdoor (p = {verdict.p_value:.2g}, alpha {audit.alpha:g})"
    name = audit.class_name(verdict.target)
    return f"Suspicious: a trigger towards '{name}' seems to be planted (p = {verdict.p_value:.2g}, alpha {audit.alpha:g})"


def sheet(audit: ModelAudit, name: str) -> Sheet:
    """The page of an audit."""
    verdict = audit.verdict
    agree = (
        f"{verdict.agreeing} of {len(audit.findings)} methods suspect '{audit.class_name(audit.findings[verdict.best].target)}'"
    )
    tone = "bad" if verdict.answer == "suspicious" else "good"
    blocks: list[Block] = [Facts(facts(audit))]
    blocks += [Text([note], tone="bad") for note in audit.notes]
    blocks += _pictures(audit)
    blocks.append(
        Table(
            ("method", "p", "p, Holm", "suspects", "statistic", "image passes", "time"),
            [
                (
                    method,
                    f"{audit.p_values[method]:.2g}",
                    f"{verdict.adjusted[method]:.2g}",
                    audit.class_name(finding.target) or "",
                    finding.statistic,
                    finding.passes,
                    duration(finding.seconds),
                )
                for method, finding in audit.findings.items()
            ],
            title="Methods",
            caption="p by each method: how likely a clean model's most suspicious class stands out as far. Holm's correction "
            "makes the smallest hold for all methods together.",
        )
    )
    if audit.refused:
        blocks.append(
            Text([f"{method} could not look into this model: {why}" for method, why in audit.refused.items()], quiet=True)
        )
    for method, finding in audit.findings.items():
        marked = () if finding.target is None else (finding.target,)
        least = min(finding.class_scores)
        above = [score - least for score in finding.class_scores]
        caption = f"{method}: how much more suspicious each class is than the least suspicious one"
        blocks.append(Bars(audit.classes, above, caption=caption, marked=marked))
    caution = (
        "A clean verdict says that these methods found nothing. Some backdoors are built not to be found: see "
        "the table of attacks in docs/calibration.md."
    )
    blocks.append(Text([caution], quiet=True))
    return Sheet(f"Audit of {name}", Lead(lead(audit), tone, agree), blocks)


def facts(audit: ModelAudit) -> list[tuple[str, str]]:
    """What an audit is told by, labels with their values."""
    share, first = audit.accuracy, audit.findings[audit.verdict.best]
    pairs = [("Model", audit.source), ("Images", " x ".join(map(str, audit.shape))), ("Classes", f"{len(audit.classes):,}")]
    if share is not None:
        low, high = map(percent, wilson(share.right, share.n))
        pairs.append(("Clean accuracy", f"{percent(share.accuracy)}% [{low}, {high}], n = {share.n:,}"))
    if audit.probability is not None:
        pairs.append(("Probability of a backdoor", f"{percent(audit.probability)}%, if every second model had one"))
    pairs.append(("Most suspicious class", audit.class_name(first.target) or "none"))
    recovered: Mapping[str, float] = audit.recovered.details if audit.recovered else dict[str, float]()
    if "size" in recovered:
        pairs.append(("Size of the recovered trigger", f"{recovered['size']:.1f} pixels"))
    if "success" in recovered:
        pairs.append(("Its success on the clean images", f"{percent(recovered['success'])}%"))
    null = f"{audit.references} reference models" if audit.references else "the model's own classes and starts"
    return [*pairs, ("p-values from", null), ("Image passes", f"{audit.passes:,}"), ("Time", duration(audit.seconds))]


def _pictures(audit: ModelAudit) -> list[Block]:
    trigger, clean = audit.trigger, audit.clean
    if trigger is None:
        return []
    pasted = torch.full_like(trigger.pattern, 0.5) + trigger.mask * (trigger.pattern - 0.5)
    items = [_picture(trigger.mask, "mask"), _picture(pasted, "trigger", "what is pasted, on grey")]
    if clean is not None:
        others = clean.images[clean.labels != audit.findings[audit.verdict.best].target]
        x = to_float(others[:: max(1, len(others) // _SHOWN)][:_SHOWN])
        for image, shown in zip(x, trigger(x), strict=True):
            items += [_picture(image, "clean"), _picture(shown, "triggered")]
    title = "Recovered trigger" if audit.verdict.answer == "suspicious" else "The easiest trigger that was found"
    return [Pictures(items, title=title, side=112)]


def _picture(x: Tensor, caption: str, note: str = "") -> Picture:
    return Picture(to_uint8(x[None])[0].cpu().numpy(), caption, note)


def _write_picture(trigger: Trigger, path: Path) -> None:
    """A PNG whose transparency is the mask, so that it can be laid over an image of the model's size."""
    pattern = trigger.pattern.expand(3, -1, -1)
    levels = (torch.cat([pattern, trigger.mask]).clamp(0, 1) * 255).round().to(torch.uint8)
    partial = path.with_name(f".{path.name}.partial")
    Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()), "RGBA").save(partial, format="PNG")
    partial.replace(path)
