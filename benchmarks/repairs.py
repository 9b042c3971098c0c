"""``python -m benchmarks repairs STORE [--only METHOD ...]``: what each repair leaves of the backdoors of a store's trials.

For each trial with an attack whose weights were kept: the defender has ``--clean`` of its test images, CA, ASR and RA are over
``--test`` others. A row is written to ``--rows`` as soon as it is measured, and not measured again: stopped anywhere, the same
command goes on. The trigger to unlearn is what an audit with 500 of the defender's images recovers; its time is told apart.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchmarks import machine
from turncoat.audit.model import audit_model
from turncoat.component import members
from turncoat.data import ImageSet
from turncoat.errors import TurncoatError
from turncoat.evaluate.rows import Row
from turncoat.evaluate.victim import evaluate_attack, evaluate_clean
from turncoat.experiment.maketriggers import restored
from turncoat.experiment.repaired import FIGURES
from turncoat.experiment.weights import load_network
from turncoat.intake.model import open_model
from turncoat.progress import silent
from turncoat.repair import Defender, Repair
from turncoat.repair.split import split_clean
from turncoat.report.read import Trial, read_trials
from turncoat.train import Placement, place

AUDITED = 500
"""Of the defender's images that an audit is given."""
ASR, CA_LOST, TIME = 0.05, 0.02, 0.25
"""Aims: at most so much success, so much less accuracy, such a share of the training's time."""
HARDER = {"blended": 0.10}
"""Success aimed at where it is not the same: the pattern alone turns clean networks, too."""


@dataclass(frozen=True)
class Measured:
    """One repair of one trial's victim. before, after: CA, ASR and RA in [0, 1]. left: why the network is as it came, or "".

    seconds: of the processor, the audit not counted. trained: what the training of such a victim took.
    """

    trial: str
    attack: str
    seed: int
    method: str
    before: dict[str, float]
    after: dict[str, float]
    n: dict[str, int]
    details: dict[str, float]
    left: str
    seconds: float
    trained: float
    audit_seconds: float = 0.0

    @property
    def share(self) -> float:
        return self.seconds / self.trained

    @property
    def reached(self) -> bool:
        lost = self.before["ca"] - self.after["ca"]
        return self.after["asr"] <= HARDER.get(self.attack, ASR) and lost <= CA_LOST and self.share <= TIME


@dataclass(frozen=True, eq=False)
class _Case:
    """A victim, the images to judge it on, and its defender. audited: seconds of the audit that recovered the trigger."""

    trial: Trial
    network: nn.Module
    defender: Defender
    before: dict[str, Row]
    judge: _Judge
    audited: float
    trained: float


class _Judge:
    """CA, ASR and RA of a network on the test images that are not the defender's."""

    def __init__(self, trial: Trial, clean: int, test: int, placement: Placement) -> None:
        images, self.attack = restored(trial, silent)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(7))
        self.clean: ImageSet = images.subset(order[:clean])
        self.test, self.seed, self.placement = images.subset(order[clean:][:test]), trial.record.seed, placement

    def __call__(self, network: nn.Module) -> dict[str, Row]:
        rows = evaluate_clean(network, self.test, self.placement, method="repair")
        rows += evaluate_attack(network, self.test, self.attack, self.seed, self.placement, method="repair")
        return {row.metric: row for row in rows if row.group == "" and row.metric in FIGURES}


def main(arguments: Sequence[str]) -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks repairs", description=__doc__)
    parser.add_argument("store", type=Path, help="a folder that `turncoat run --out` wrote, with keep_models=victims or all")
    parser.add_argument("--only", nargs="+", default=sorted(members(Repair)), metavar="METHOD")
    parser.add_argument("--attacks", nargs="+", metavar="NAME", help="those with these attacks; all unless given")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="those of these seeds; all unless given")
    parser.add_argument("--clean", type=int, default=2500, help="images of the defender")
    parser.add_argument("--test", type=int, default=1500, help="images to judge by")
    parser.add_argument("--rows", type=Path, default=Path("repairs.jsonl"), help="where rows are kept and read")
    asked = parser.parse_args(arguments)
    placement = place()
    done = [Measured(**json.loads(line)) for line in asked.rows.read_text().splitlines()] if asked.rows.exists() else []
    trials = read_trials(asked.store)
    for trial in trials:
        attack = _attack(trial)
        if attack is None or (asked.attacks and attack not in asked.attacks):
            continue
        if (asked.seeds and trial.record.seed not in asked.seeds) or not (trial.folder / "model.safetensors").is_file():
            continue
        known = {row.method for row in done if row.trial == trial.folder.name}
        missing = [Repair.parse(name) for name in asked.only if name not in known]
        if not missing:
            continue
        # the least disturbed training of its kind: trials may have run beside others
        trained = min(seconds for one in trials if _attack(one) == attack for seconds in _trained(one))
        case = _case(trial, asked.clean, asked.test, placement, any(one.needs_trigger for one in missing), trained)
        for repair in missing:
            row = _measured(case, repair)
            done.append(row)
            with asked.rows.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(row)) + "\n")
            print(_line(row), flush=True)
    print(f"\n{machine.name(placement)}; torch {torch.__version__}; {placement.precision}\n\n{table(done)}")


def _attack(trial: Trial) -> str | None:
    given = trial.record.config.get("attack")
    return str(given["name"]) if isinstance(given, dict) else None


def _trained(trial: Trial) -> list[float]:
    return [row.seconds for row in trial.record.rows if row.stage == "train" and row.method == "victim" and row.seconds]


def _case(trial: Trial, clean: int, test: int, placement: Placement, audited: bool, trained: float) -> _Case:
    judge = _Judge(trial, clean, test, placement)
    learn, choose = split_clean(judge.clean, 0)
    network, _ = load_network(trial.folder / "model.safetensors")
    defender, spent = Defender(learn, choose, learn.shape, placement, 0), 0.0
    if audited:
        started = _seconds(placement)
        found = audit_model(open_model(trial.folder), judge.clean.subset(torch.arange(AUDITED)), placement=placement)
        target = found.findings[found.verdict.best].target
        spent = _seconds(placement) - started
        defender = dataclasses.replace(defender, trigger=found.trigger, target=target)
    return _Case(trial, network, defender, judge(network), judge, spent, trained)


def _measured(case: _Case, repair: Repair) -> Measured:
    started = _seconds(case.defender.placement)
    network, details, left = case.network, dict[str, float](), ""
    try:
        made = repair.repair(case.network, case.defender)
        network, details, left = made.network, dict(made.details), made.left
    except TurncoatError as error:
        left = str(error)
    spent = _seconds(case.defender.placement) - started
    after = case.judge(network)
    return Measured(
        trial=case.trial.folder.name,
        attack=_attack(case.trial) or "",
        seed=case.trial.record.seed,
        method=repair.name,
        before={metric: row.value for metric, row in case.before.items()},
        after={metric: row.value for metric, row in after.items()},
        n={metric: row.n or 0 for metric, row in after.items()},
        details=details,
        left=left,
        seconds=spent,
        trained=case.trained,
        audit_seconds=case.audited if repair.needs_trigger else 0.0,
    )


def _seconds(placement: Placement) -> float:
    """Of this process's work: of the processor on one, so that others on the machine do not count; of the clock elsewhere."""
    machine.synchronise(placement)
    return time.process_time() if placement.device.type == "cpu" else time.perf_counter()


def _line(row: Measured) -> str:
    shares = (f"{metric.upper()} {row.before[metric]:.1%} -> {row.after[metric]:.1%}" for metric in FIGURES)
    return f"{row.attack} {row.seed} {row.method}: {', '.join(shares)}, {row.seconds:.0f} s ({row.share:.0%}) {row.left}"


def table(rows: Sequence[Measured]) -> str:
    """Markdown: a line an attack and method, figures by seed."""
    head = "| attack | method | seeds | CA before | after | ASR before | after | RA after | time | aims |"
    lines = [head, "|" + "---|" * head.count(" |")]
    for attack, method in sorted({(row.attack, row.method) for row in rows}):
        found = sorted((row for row in rows if (row.attack, row.method) == (attack, method)), key=lambda row: row.seed)
        cells = [", ".join(str(row.seed) for row in found)]
        for metric in ("ca", "asr"):
            cells += [_shares(row.before[metric] for row in found), _shares(row.after[metric] for row in found)]
        cells += [_shares(row.after["ra"] for row in found), ", ".join(f"{row.share:.0%}" for row in found)]
        reached = sum(row.reached for row in found)
        untouched = sum(bool(row.left) for row in found)
        cells.append(f"{reached} of {len(found)}" + (f"; {untouched} left as it came" if untouched else ""))
        lines.append(f"| {attack} | `{method}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shares(values: Iterable[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)
