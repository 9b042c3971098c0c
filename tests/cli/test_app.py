from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import turncoat
from turncoat.cli import app
from turncoat.errors import TurncoatError

runner = CliRunner()
SLOW = ("torch", "numpy", "pandas", "pydantic", "matplotlib", "scipy", "duckdb", "timm", "yaml", "sklearn")


def test_help_imports_nothing_slow() -> None:
    code = f"import sys, turncoat, turncoat.cli\nprint([name for name in {SLOW!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_takes_under_half_a_second_of_processor_time() -> None:
    code = (
        "import sys, time\nfrom turncoat.cli import main\nsys.argv = ['turncoat', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(time.process_time(), file=sys.stderr)"
    )
    found = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert min(float(one.stderr.split()[-1]) for one in found) < 0.5
    assert "Plant, measure, find and remove backdoors" in found[0].stdout


def test_the_module_runs_and_tells_its_version() -> None:
    found = subprocess.run([sys.executable, "-m", "turncoat", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout == f"turncoat {turncoat.__version__}\n"


def test_tables_of_results_import_nothing_that_they_do_not_use() -> None:
    unused = ("torch", "pandas", "scipy", "jinja2", "matplotlib", "PIL", "sklearn")
    code = f"import sys, turncoat.cli.tables\nprint([name for name in {unused!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


COMMANDS = [str(command.name) for command in (*app.registered_commands, *app.registered_groups)]


def test_help_has_every_command_under_what_it_is_for() -> None:
    shown = runner.invoke(app, ["--help"]).output
    places = [shown.index(part) for part in ("Plant and measure", " run ", "Find and remove", " repair ", "Look around", " gc ")]
    assert places == sorted(places)
    assert all(f" {command} " in shown for command in COMMANDS)


def test_there_are_the_commands_of_the_readme() -> None:
    assert {"run", "study", "audit-model", "audit-data", "repair", "scan-inputs", "report", "list", "data"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    found = runner.invoke(app, [command, "--help"])
    assert found.exit_code == 0
    assert command in runner.invoke(app, ["--help"]).output


def test_a_mistake_is_its_lines_and_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise TurncoatError("first: \x1b[31mred\nsecond: line")

    monkeypatch.setattr("turncoat.experiment.collect.collect_garbage", fail)
    found = runner.invoke(app, ["gc", "anywhere"])
    assert found.exit_code == 2
    assert found.stderr == "turncoat: first: \\x1b[31mred\nturncoat: second: line\n"
    assert found.stdout == ""


def test_a_bug_is_no_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("turncoat.experiment.collect.collect_garbage", fail)
    assert isinstance(runner.invoke(app, ["gc", "anywhere"]).exception, RuntimeError)


def test_an_interrupt_is_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("turncoat.experiment.collect.collect_garbage", interrupt)
    assert runner.invoke(app, ["gc", "anywhere"]).exit_code == 130
