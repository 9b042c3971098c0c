"""``turncoat data``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from turncoat.cli.data import data_app
from turncoat.data.cifar10 import Cifar10
from turncoat.data.download import RemoteFile
from turncoat.errors import TurncoatError


def call(*arguments: str) -> str:
    result = CliRunner().invoke(data_app, list(arguments))
    if result.exception is not None:
        raise result.exception
    return result.output


def test_get_then_list_then_clear(server: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["set"] = b"content"
    checksum = f"md5:{hashlib.md5(b'content').hexdigest()}"
    monkeypatch.setattr(Cifar10, "files", (RemoteFile("set", (server.url + "set",), checksum, 7),))
    assert {line["name"]: line["downloaded"] for line in json.loads(call("list", "--json"))}["cifar10"] == "no"
    assert call("get", "cifar10") == f"{home / 'cifar10'}\n"
    assert (home / "cifar10/set").read_bytes() == b"content"
    assert {line["name"]: line["downloaded"] for line in json.loads(call("list", "--json"))}["cifar10"] == "yes"
    (home / "decoded/entry").mkdir(parents=True)
    (home / "decoded/entry/train.npy").write_bytes(bytes(3_000_000))
    assert "decoded images: 3 MB" in call("list")
    assert "3 MB deleted" in call("clear")
    assert not (home / "decoded").exists()
    assert (home / "cifar10/set").exists()


def test_get_of_an_unknown_set_names_those_there_are(home: Path) -> None:
    with pytest.raises(TurncoatError, match=r"^data get: expected one of cifar10, .*, mnist, .*, got 'imagenet'$"):
        call("get", "cifar10", "imagenet")
    assert not home.exists()
