"""kill -9 at any moment, the same again: nothing half-written counts, and the figures are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from experiment_helpers import document, metric_rows

from turncoat import collect_garbage, run
from turncoat.experiment.store import open_store

KILL_AND_REPEAT = """
import json, os, random, signal, sys, time
from pathlib import Path
import sklearn.datasets, torch._dynamo, turncoat.report  # slow to import: once, not in every child
from turncoat.experiment.run import run

given, out = json.loads(sys.argv[1]), Path(sys.argv[2])
draw = random.Random(0)

def start():
    child = os.fork()
    if child == 0:
        run(given, out=out)
        os._exit(0)
    return child

def wait_for(pattern, child):
    while not list(out.glob(pattern)) and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)

# anywhere in the twin's training, while its folder is written, in the victim's, while its folder is written, in the report
for pattern, longest in ((None, 0.5), (".partial/*", 0), ("twins/*", 0.3), (".partial/*", 0.01), ("trials/*", 0.05)):
    child = start()
    if pattern:
        wait_for(pattern, child)
    time.sleep(draw.uniform(0, longest))
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    for path in out.glob("t*/*/t*.json"):
        json.loads(path.read_text())
    for path in out.glob("report.html"):
        assert path.read_text().rstrip().endswith("</html>")
child = start()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_killed_and_run_again(quick: dict[str, Any], tmp_path: Path) -> None:
    given, out = {**quick, "train": {"epochs": 2, "batch_size": 64}}, tmp_path / "runs"
    command = [sys.executable, "-c", KILL_AND_REPEAT, json.dumps(given), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a fork copies one thread alone
    subprocess.run(command, check=True, env=environment, timeout=300)
    (undisturbed,) = run(given, out=tmp_path / "undisturbed", report=False)
    key = undisturbed.record.key
    assert metric_rows(document(out, key)) == metric_rows(document(tmp_path / "undisturbed", key))
    assert [trial.record.key for trial in open_store(out).trials()] == [key]
    assert (out / "report.html").is_file()
    assert collect_garbage(out).partials >= 1
    assert not list((out / ".partial").iterdir())
