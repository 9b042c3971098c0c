"""The examples are valid, and those on the digits run as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = sorted(EXAMPLES.glob("study-*.yaml"))
TRIALS = sorted(set(EXAMPLES.glob("*.yaml")) - set(STUDIES))


@pytest.mark.parametrize("path", TRIALS, ids=lambda path: path.stem)
def test_a_trial_is_valid_and_its_comment_gives_the_command(path: Path) -> None:
    from turncoat.experiment.config import read_config

    config = read_config(path)
    assert config.seed == 0
    assert config.train.model_fields_set <= {"epochs", "preset"}, "an example shows the recipe as it is"
    assert f"turncoat run examples/{path.name}" in path.read_text()


def test_every_example_that_was_promised_is_there() -> None:
    promised = {"digits-badnets", "digits-all-to-all", "study-digits-60", "cifar10-badnets", "cifar10-blended", "folder-badnets"}
    assert promised <= {path.stem for path in TRIALS + STUDIES}
