"""What the repository promises about itself: tables, links, commands, dependencies, nothing of anybody's machine."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORT_NAMES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
COMPANIONS = {"pydantic_core", "markupsafe"}  # part of the interface of pydantic and jinja2
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def tracked() -> list[Path]:
    answer = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip("not a git checkout")
    return [path for name in answer.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}


def imported() -> set[str]:
    """Top-level names that anything in the package imports."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"turncoat"}


def test_readme_tables_are_those_of_the_components() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None and spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = (ROOT / "README.md").read_text()
    assert "`badnets`" in text
    assert tables.filled(text) == text, "run `make docs`"


def test_readme_opens_with_the_two_commands() -> None:
    head = (ROOT / "README.md").read_text().splitlines()[:5]
    assert [line.split("#")[0].strip() for line in head if line.startswith("    ")] == ["make demo", "make test"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_files_and_commands_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text() + (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    examples = set(re.findall(r"examples/[\w-]+\.yaml", text))
    assert examples
    assert [name for name in examples if not (ROOT / name).is_file()] == []


def test_commands_that_are_named_exist() -> None:
    import typer.main

    from turncoat.cli import app

    known = set(getattr(typer.main.get_command(app), "commands", {}))
    text = "".join((ROOT / name).read_text() for name in [*DOCUMENTS, "Makefile"])
    named = set(re.findall(r"(?:^ {4}|`|\$\(BIN\)/)turncoat ([a-z-]+)", text, re.MULTILINE))
    assert {"run", "study", "poison", "results", "report", "list", "data"} <= named
    assert named <= known


def test_make_help_lists_every_target() -> None:
    outside = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}  # `make test` runs this too
    answer = subprocess.run(["make", "help"], cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in answer.stdout.splitlines()}
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert listed == set(phony[1].split())


def test_every_dependency_is_imported_and_every_import_declared() -> None:
    declared = {IMPORT_NAMES.get(name, name) for name in names(PROJECT["project"]["dependencies"])}
    optional = {name for extra in PROJECT["project"]["optional-dependencies"].values() for name in names(extra)}
    assert imported() - optional - COMPANIONS == declared


def test_constraints_pin_everything_declared_and_name_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE))
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    wanted = {name for group in [*groups, PROJECT["dependency-groups"]["dev"]] for name in names(group)}
    assert wanted - pins.keys() == set()
    assert (pins["torch"], pins["torchvision"]) == ("2.15.0", "0.29.2"), "only a matched pair works"
    assert "://" not in text


def test_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_nothing_names_a_machine_or_a_registry() -> None:
    hosts = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("debian", "org"))]
    here = [f"{folder}/" for folder in {str(ROOT.parent), str(Path.home())} if folder not in ("/", "/tmp")]
    found: list[str] = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {bad}" for bad in hosts + here if bad in text]
    assert found == []
