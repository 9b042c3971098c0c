"""`make`: a store written by hand, as another program might have left it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_records import Make, write_trial


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(record, ...)`` writes a store of these records and returns it."""

    def _make(*records: dict[str, Any]) -> Path:
        store = tmp_path / "store"
        for record in records:
            write_trial(store, record)
        return store

    return _make
