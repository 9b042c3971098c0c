"""What the tests of the command line share."""

from __future__ import annotations

import json
from pathlib import Path


def write(path: Path, document: object) -> str:
    """A YAML file (JSON is YAML), and its path for the command line."""
    path.write_text(json.dumps(document))
    return str(path)
