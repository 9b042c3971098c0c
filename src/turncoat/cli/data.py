"""``turncoat data``: what is downloaded, and where it lies."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from turncoat.data.downloaded import Downloaded
    from turncoat.progress import Progress

data_app = typer.Typer(no_args_is_help=True, help="Download data sets and see where they lie.")


@data_app.command("get")
def get_data(names: Annotated[list[str], typer.Argument(help="Data sets, e.g. cifar10; see `turncoat data list`.")]) -> None:
    """Download data sets; what is there already is checked."""
    chosen = [_downloadable(name) for name in names]
    with _bar() as progress:
        folders = [source.fetch(progress) for source in chosen]
    for folder in folders:
        typer.echo(folder)


@data_app.command("list")
def list_data(as_json: Annotated[bool, typer.Option("--json", help="As a JSON array.")] = False) -> None:
    """Data sets that can be downloaded, and those that are."""
    from turncoat.data.places import data_home, decoded_home

    lines = [_describe(source) for source in _downloads().values()]
    if as_json:
        import json

        typer.echo(json.dumps(lines))
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for head in lines[0]:
        table.add_column(head, no_wrap=head != "what it is", overflow="fold", justify="right" if head == "MB" else "left")
    for line in lines:
        table.add_row(*(escape(str(value)) for value in line.values()))
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    typer.echo(f"downloads: {data_home()}")
    typer.echo(f"decoded images: {_size(decoded_home()) / 1e6:,.0f} MB (`turncoat data clear` deletes them)")


@data_app.command("clear")
def clear_data() -> None:
    """Delete the decoded images; downloads stay. The next load decodes again."""
    import shutil

    from turncoat.data.places import decoded_home
    from turncoat.errors import TurncoatError

    home = decoded_home()
    freed = _size(home)
    if home.is_dir():
        try:
            shutil.rmtree(home)
        except OSError as error:
            raise TurncoatError(f"{home}: expected to delete it, got: {error.strerror}") from error
    typer.echo(f"{home}: {freed / 1e6:,.0f} MB deleted")


def _downloads() -> dict[str, type[Downloaded]]:
    from turncoat.component import members
    from turncoat.data import Source
    from turncoat.data.downloaded import Downloaded

    return {name: source for name, source in members(Source).items() if issubclass(source, Downloaded)}


def _downloadable(name: str) -> type[Downloaded]:
    from turncoat.errors import TurncoatError, shown

    known = _downloads()
    if name not in known:
        raise TurncoatError(f"data get: expected one of {', '.join(known)}, got '{shown(name)}'")
    return known[name]


def _describe(source: type[Downloaded]) -> dict[str, str | int | bool]:
    return {
        "name": str(source.model_fields["name"].default),
        "downloaded": "yes" if source.is_here() else "no",
        "MB": round(sum(remote.size for remote in source.files) / 1e6),
        "what it is": source.summary(),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def _bar() -> Generator[Progress]:
    """A bar a file on standard error if it is a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from turncoat.progress import silent

    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(escape(what))
            bars.update(tasks[what], completed=done, total=total or None)

        yield tell


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(data_app, name="data")
