"""Downloads, from a server on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from turncoat.data.download import RemoteFile, fetch
from turncoat.errors import TurncoatError

CONTENT = bytes(range(256)) * 4096  # 1 MiB


def remote(
    server: Any, content: bytes = CONTENT, *, algorithm: str = "sha256", urls: tuple[str, ...] | None = None
) -> RemoteFile:
    checksum = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    return RemoteFile("set.bin", urls or (server.url + "set.bin",), checksum, len(content))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_downloads_once(server: Any, tmp_path: Path, algorithm: str) -> None:
    server.files["set.bin"] = CONTENT
    heard: list[tuple[str, int, int]] = []
    path = fetch(remote(server, algorithm=algorithm), tmp_path / "new", lambda *step: heard.append(step))
    assert path.read_bytes() == CONTENT
    assert heard[-1] == ("set.bin", len(CONTENT), len(CONTENT))
    fetch(remote(server, algorithm=algorithm), tmp_path / "new")
    assert server.asked == [("/set.bin", None)]
    assert visible(tmp_path / "new") == ["set.bin"]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = CONTENT
    server.break_after = [600_000, 300_000]
    assert fetch(remote(server), tmp_path, pause=0).read_bytes() == CONTENT
    assert server.asked[0][1] is None
    assert all(wanted and int(wanted.removeprefix("bytes=").rstrip("-")) > 0 for _, wanted in server.asked[1:])


def test_the_next_call_goes_on_and_the_error_says_so(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = CONTENT
    server.break_after = [600_000, 0, 0]
    with pytest.raises(TurncoatError, match=r"^set\.bin: could not be downloaded from http.*; [\d,]+ bytes are kept, run it"):
        fetch(remote(server), tmp_path, pause=0)
    assert visible(tmp_path) == ["set.bin.part"]
    server.break_after = []
    server.asked.clear()
    assert fetch(remote(server), tmp_path, pause=0).read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert server.asked[0][1] is not None
    assert visible(tmp_path) == ["set.bin"]


def test_a_server_without_ranges_sends_all_again(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = CONTENT
    server.ranges = False
    (tmp_path / "set.bin.part").write_bytes(CONTENT[:1000])
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("kept", [b"of another file", b"x" * (len(CONTENT) + 5)])
def test_what_was_kept_of_another_file_is_dropped(server: Any, tmp_path: Path, kept: bytes) -> None:
    server.files["set.bin"] = CONTENT
    (tmp_path / "set.bin.part").write_bytes(kept)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = b"tampered"
    with pytest.raises(TurncoatError) as caught:
        fetch(remote(server), tmp_path)
    expected, got = (f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (CONTENT, b"tampered"))
    assert str(caught.value) == f"set.bin: could not be downloaded from {server.url}set.bin: expected {expected}, got {got}"
    assert visible(tmp_path) == []


def test_a_damaged_file_is_downloaded_anew(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = CONTENT
    (tmp_path / "set.bin").write_bytes(b"damaged")
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_the_next_mirror_is_tried(server: Any, tmp_path: Path) -> None:
    server.files |= {"good": CONTENT, "bad": b"tampered"}
    urls = tuple(server.url + name for name in ("missing", "bad", "good"))
    assert fetch(remote(server, urls=urls), tmp_path).read_bytes() == CONTENT


def test_a_missing_file_is_told_in_one_line(server: Any, tmp_path: Path) -> None:
    with pytest.raises(TurncoatError) as caught:
        fetch(remote(server), tmp_path)
    assert str(caught.value) == f"set.bin: could not be downloaded from {server.url}set.bin: HTTP status 404"


def test_no_network_is_told_in_one_line(server: Any, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/set.bin"
    with pytest.raises(TurncoatError) as caught:
        fetch(remote(server, urls=(url,)), tmp_path)
    expected = f"set.bin: could not be downloaded from {url}: no connection to 127.0.0.1 (is there a network?)"
    assert str(caught.value) == expected
    assert visible(tmp_path) == []


def test_a_server_that_never_stops_is_cut_off(server: Any, tmp_path: Path) -> None:
    server.files["set.bin"] = CONTENT * 3
    with pytest.raises(TurncoatError, match="expected about 1,048,576 bytes, got more than 2,"):
        fetch(remote(server), tmp_path)
    assert visible(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told_in_one_line(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TurncoatError, match="expected to write the download, got: "):
        fetch(remote(server), tmp_path / "file")
