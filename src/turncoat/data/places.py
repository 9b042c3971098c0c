"""Where downloads and decoded images are kept."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_home() -> Path:
    """``$TURNCOAT_DATA``, else the platform's cache folder. It need not exist yet."""
    given = os.environ.get("TURNCOAT_DATA")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("turncoat")


def decoded_home() -> Path:
    """The folder of decoded images; everything below it can be deleted at any time."""
    return data_home() / "decoded"


def workers() -> int:
    """Threads worth starting: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
