from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from experiment_helpers import Trained
from quick_trial import QUICK


@pytest.fixture
def quick() -> dict[str, Any]:
    return dict(QUICK)


@pytest.fixture
def trained() -> Trained:
    return Trained()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, to be read only: BadNets on two seeds, and a report."""
    from turncoat import run

    store = tmp_path_factory.mktemp("finished") / "runs"
    run(QUICK, out=store, seeds=2)
    return store
