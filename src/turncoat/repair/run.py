"""`repair_model`: repair a network by one method, or by several of which the defender's own images choose one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic_core import PydanticCustomError
from torch import nn

from turncoat.data.imageset import ImageSet
from turncoat.detect.models.base import Trigger
from turncoat.errors import TurncoatError
from turncoat.progress import Progress, silent
from turncoat.repair.base import Defender, Repair
from turncoat.repair.split import split_clean
from turncoat.repair.success import Share, right, success
from turncoat.train.placement import Placement, place

AUTO = ("consistency", "unlearning", "ft-sam")
"""What ``auto`` tries, of what the model and the images allow; with equal figures the first is taken."""


@dataclass(frozen=True)
class Audited:
    """What an audit says: the p-value of its verdict, the target class and the trigger that it recovered, if any."""

    p_value: float
    target: int | None
    trigger: Trigger | None


Audit = Callable[[nn.Module, ImageSet | None], Audited]
"""Audits a network with the defender's clean images."""


@dataclass(frozen=True)
class Seen:
    """What the defender sees of a network: accuracy on the validation images, success of the recovered trigger on those of
    other classes than its target, and the p-value of an audit; each None where there is nothing to tell it by.
    """

    accuracy: Share | None
    success: Share | None
    p_value: float | None = None


@dataclass(frozen=True, eq=False)
class Attempt:
    """One method's network."""

    repair: Repair
    network: nn.Module
    seen: Seen
    details: dict[str, float]
    seconds: float
    left: str = ""
    """Why the network is as it came; "" where it was repaired."""


@dataclass(frozen=True, eq=False)
class RepairResult:
    """The network of choice, and how it was come by.

    refused: by method, why it could not repair this network. left: why the network of choice is as it came; "" where it was
    repaired. seconds: of all, the audits among them.
    """

    network: nn.Module
    repair: Repair
    before: Seen
    after: Seen
    attempts: tuple[Attempt, ...]
    refused: dict[str, str]
    trigger: Trigger | None
    target: int | None
    seconds: float
    left: str = ""


def repair_model(
    network: nn.Module,
    clean: ImageSet | None,
    method: str | Repair = "auto",
    *,
    shape: tuple[int, int, int] | None = None,
    trigger: Trigger | None = None,
    target: int | None = None,
    audit: Audit | None = None,
    seed: int = 0,
    placement: Placement | None = None,
    progress: Progress = silent,
) -> RepairResult:
    """Repair a network that may be backdoored, and say what the defender can know of it before and after.

    network: from float ``(N, C, H, W)`` in [0, 1] to logits; left as it is. clean: images that the defender trusts, 80% to learn
    from and 20% to choose by; None for a method that needs none, with their ``shape`` (C, H, W). method: a repair, its name, or
    ``auto``: several, of which is taken the one under which the recovered trigger succeeds least, among those that repair within
    their margin of validation accuracy. What cannot be repaired within it comes back as it came, and ``left`` says why. trigger,
    target: of an audit that was made; ``audit`` makes one before, where there is none, and one after.

    Raises `TurncoatError` for an unknown method, and one without the images or the trigger that it needs.
    """
    started = time.perf_counter()
    placement = placement or place()
    if clean is None and shape is None:
        raise TurncoatError("repair: expected clean images, or the shape (C, H, W) of the network's; got neither")
    methods = [Repair.parse(name) for name in AUTO] if method == "auto" else [parsed(method)]
    p_before = None
    if audit is not None:
        progress("auditing", 0, 1)
        found = audit(network, clean)
        p_before = found.p_value
        if trigger is None:
            trigger, target = found.trigger, found.target
        progress("auditing", 1, 1)
    learn, choose = (None, None) if clean is None else split_clean(clean, seed)
    defender = Defender(learn, choose, clean.shape if clean else shape or (3, 32, 32), placement, seed, trigger, target)
    before = look(network, defender, p_before)
    if method == "auto":
        methods = _that_can(methods, defender)
    attempts, refused = _attempts(methods, network, defender, progress)
    chosen = best(attempts)
    after = chosen.seen
    if chosen.left:
        after = before
    elif audit is not None and p_before is not None:
        progress("auditing again", 0, 1)
        after = Seen(after.accuracy, after.success, audit(chosen.network, clean).p_value)
        progress("auditing again", 1, 1)
    spent = time.perf_counter() - started
    return RepairResult(
        chosen.network, chosen.repair, before, after, tuple(attempts), refused, trigger, target, spent, chosen.left
    )


def parsed(method: str | Repair) -> Repair:
    """The repair of this name. Raises `TurncoatError` with all names for one that is not known."""
    try:
        return Repair.parse(method)
    except PydanticCustomError as error:
        raise TurncoatError(f"--method: {error.message()}, auto") from None


def look(network: nn.Module, defender: Defender, p_value: float | None = None) -> Seen:
    """What the defender sees of a network."""
    images = defender.validation
    if images is None:
        return Seen(None, None, p_value)
    hit = None
    if defender.trigger is not None and defender.target is not None:
        hit = success(network, defender.trigger, defender.target, images, defender.placement)
    return Seen(right(network, images, defender.placement), hit, p_value)


def best(attempts: Sequence[Attempt]) -> Attempt:
    """Among those that were repaired, the one on which the recovered trigger succeeds least; of equals the most accurate.

    Without a recovered trigger the first of them: the most accurate may be the one that changed least.
    """

    def order(attempt: Attempt) -> tuple[bool, float, float]:
        seen = attempt.seen
        if seen.success is None:
            return bool(attempt.left), 0.0, 0.0
        return bool(attempt.left), seen.success.value, -(seen.accuracy.value if seen.accuracy else 0.0)

    return min(attempts, key=order)


def _that_can(methods: Sequence[Repair], defender: Defender) -> list[Repair]:
    images, trigger = defender.train is not None, defender.trigger is not None
    able = [one for one in methods if (images or not one.needs_images) and (trigger or not one.needs_trigger)]
    return able or [Repair.parse("clp")]


def _attempts(
    methods: Sequence[Repair], network: nn.Module, defender: Defender, progress: Progress
) -> tuple[list[Attempt], dict[str, str]]:
    """Raises what the only method raises; of several, one that cannot is passed over."""
    attempts, refused = list[Attempt](), dict[str, str]()
    for done, one in enumerate(methods):
        progress(f"repairing by {one.name}", done, len(methods))
        try:
            attempts.append(_attempt(one, network, defender))
        except TurncoatError as error:
            if len(methods) == 1:
                raise
            refused[one.name] = str(error)
    progress("repairing", len(methods), len(methods))
    if not attempts:
        raise TurncoatError("\n".join(("no method can repair this model:", *refused.values())))
    return attempts, refused


def _attempt(repair: Repair, network: nn.Module, defender: Defender) -> Attempt:
    started = time.perf_counter()
    made = repair.repair(network, defender)
    spent = time.perf_counter() - started
    return Attempt(repair, made.network, look(made.network, defender), dict(made.details), spent, made.left)
