"""``python -m benchmarks foreign [--real DIR]``: audits of models that another code trained and poisoned, by the command itself.

Trains what is missing of the pairs of `foreign_training.RECIPES`, audits each model as a stranger would (`turncoat audit-model
FILE --arch package.module:factory --clean DIR`), and writes the table into docs/calibration.md. What is there is not done again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.foreign_training import RECIPES, TRIGGERS, Recipe, make
from turncoat.data.places import data_home
from turncoat.evaluate.intervals import wilson
from turncoat.train import place

DOCS = Path(__file__).parent.parent / "docs" / "calibration.md"
BEGIN, END = "<!-- measured: python -m benchmarks foreign -->", "<!-- /measured: foreign -->"
PATCHES = ("checker", "square", "watermark")
BACKDOORED = 0.5

Found = dict[str, Any]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks foreign", description=__doc__)
    given = os.environ.get("TURNCOAT_REAL_DATA")
    parser.add_argument(
        "--real", type=Path, default=given, help="holds cifar10-jpeg/, flowers-160/, omniglot/; digits alone without"
    )
    parser.add_argument("--folder", type=Path, default=data_home() / "foreign", help="where models and audits are kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the recipes; prints and writes no table")
    parser.add_argument("--train", action="store_true", help="train alone, and audit nothing")
    parser.add_argument("--audited", action="store_true", help="no training and no audit: the table of what the folder holds")
    parser.add_argument("--again", action="store_true", help="audit also what was audited")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    done: list[tuple[Found, Found]] = []
    for recipe in RECIPES:
        if (asked.only and recipe.name not in asked.only) or (asked.real is None and recipe.data != "digits"):
            continue
        for poisoned in (True, False):
            home = asked.folder / f"{recipe.name}-{recipe.seed}-{'poisoned' if poisoned else 'clean'}"
            if asked.audited and not (home / "audit.json").is_file():
                continue
            model = make(recipe, poisoned, asked.folder, asked.real or Path())
            print(f"{home.name}: CA {model['ca']:.1%}, ASR {model['asr']:.1%}, {model['seconds']:.0f} s", flush=True)
            if asked.train:
                continue
            found = audit(recipe, model, home, asked.again)
            done.append((model, found))
            print(f"    {told(found)}", flush=True)
    if not done:
        return
    placement = place()
    text = report(done, f"{machine.name(placement)}; torch {torch.__version__}; {placement.precision}")
    print(text)
    if not asked.only and asked.real is not None:
        before, _, rest = DOCS.read_text().partition(BEGIN)
        DOCS.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2])


def audit(recipe: Recipe, model: Found, home: Path, again: bool) -> Found:
    """What the command printed, read where it is kept. A model that it refuses is a failure of this benchmark."""
    kept = home / "audit.json"
    if kept.is_file() and not again:
        return json.loads(kept.read_text())
    command = [sys.executable, "-m", "turncoat", "audit-model", model["model"], "--clean", model["clean"], "--json"]
    command += ["--out", str(home / "audit"), "--shape", model["shape"], *preprocessing(recipe)]
    command += [] if recipe.form == "onnx" else ["--arch", f"benchmarks.foreign_nets:{recipe.net}"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    if ran.returncode not in (0, 3):
        raise SystemExit(f"{home.name}: {ran.stderr}")
    kept.write_text(ran.stdout)
    return json.loads(ran.stdout)


def preprocessing(recipe: Recipe) -> list[str]:
    """The options that say what the training did to pixels."""
    options = [] if recipe.scale == 1 else ["--input-range", f"0,{recipe.scale:g}"]
    if recipe.mean:
        options += ["--mean", ",".join(map(str, recipe.mean)), "--std", ",".join(map(str, recipe.std))]
    return options


def told(found: Found) -> str:
    methods = ", ".join(f"{one['name']} {one['p_value']:.2g} ({one['target']})" for one in found["methods"])
    return f"{found['verdict']}, target {found['target']}, p {found['p_value']:.2g}: {methods}; {found['seconds']:.0f} s"


def report(done: Sequence[tuple[Found, Found]], where: str) -> str:
    """All in one table of models, and counts with intervals before it."""
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    clean = [found for model, found in done if not model["poisoned"]]
    poisoned = [(model, found) for model, found in done if model["poisoned"] and model["asr"] > BACKDOORED]
    failed = sum(model["poisoned"] and model["asr"] <= BACKDOORED for model, _ in done)
    lines = [
        f"Measured {date} on {where}, by the command with its defaults. Intervals are of 95%.",
        "",
        f"- Clean models called suspicious: {_share([one['verdict'] == 'suspicious' for one in clean])}.",
    ]
    for name, kinds in (("patch", PATCHES), ("global trigger", tuple(name for name in TRIGGERS if name not in PATCHES))):
        own = [(model, found) for model, found in poisoned if model["recipe"]["attack"] in kinds]
        right = [found["target"] == model["recipe"]["target"] for model, found in own]
        lines.append(f"- Backdoored by a {name}, called suspicious with the right target: {_share(right)}.")
    if failed:
        lines.append(f"- Not counted: {failed} whose attack did not succeed on half of the images.")
    methods = list(dict.fromkeys(one["name"] for _, found in done for one in found["methods"]))
    head = ["model", "network", "trigger", "CA", "ASR", "verdict", "target", "p", *methods, "seconds"]
    rows = [_row(model, found, methods) for model, found in done]
    return "\n".join([*lines, "", *("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))])


def _row(model: Found, found: Found, methods: Sequence[str]) -> list[str]:
    recipe, by = model["recipe"], {one["name"]: one for one in found["methods"]}
    target, wanted = found["target"], recipe["target"] if model["poisoned"] else None
    judged = "" if target is None else f"{target}, {'right' if target == wanted else 'wrong'}"
    cells = [f"{by[name]['p_value']:.2g} ({by[name]['target']})" if name in by else "refused" for name in methods]
    trigger = f"{recipe['attack']} to {wanted}" if model["poisoned"] else "none"
    asr = f"{model['asr']:.1%}" if model["poisoned"] else ""
    head = [f"{recipe['name']}, {recipe['seed']}", recipe["net"], trigger, f"{model['ca']:.1%}", asr]
    return [*head, found["verdict"], judged, f"{found['p_value']:.2g}", *cells, f"{found['seconds']:.0f}"]


def _share(hits: Sequence[bool]) -> str:
    if not hits:
        return "none measured"
    low, high = wilson(sum(hits), len(hits))
    return f"{sum(hits)} of {len(hits)} ({low:.0%} to {high:.0%})"
