"""Omniglot and Lake's runs, from small archives in their layout; the real ones at the end."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from turncoat.data import Source, load, omniglot
from turncoat.data.lake_runs import LakeRuns, read_runs
from turncoat.data.oneshot import ClassSplit, group_of
from turncoat.errors import TurncoatError

pytestmark = pytest.mark.usefixtures("home")

BACKGROUND, EVALUATION = omniglot._PARTS


def drawing(number: int, side: int = 105) -> bytes:
    """One bit a pixel, as Omniglot's; row ``number`` is ink."""
    paper = np.ones((side, side), dtype=np.bool_)
    paper[number % side] = False
    out = io.BytesIO()
    Image.fromarray(paper).save(out, "PNG")
    return out.getvalue()


def members(part: str, alphabets: dict[str, int], drawers: int = 20, first: int = 0) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    number = first
    for alphabet, characters in alphabets.items():
        for c in range(1, characters + 1):
            number += 1
            for d in range(1, drawers + 1):
                found[f"{part}/{alphabet}/character{c:02d}/{number:04d}_{d:02d}.png"] = drawing(number + d)
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Members of both archives, which are taken for whole: three and two alphabets, six and three characters."""
    parts = (BACKGROUND._replace(characters=6, alphabets=3), EVALUATION._replace(characters=3, alphabets=2))
    monkeypatch.setattr(omniglot, "_PARTS", parts)
    background = members("images_background", {"Greek": 2, "Latin": 1, "N_Ko": 3})
    return background, members("images_evaluation", {"Angelic": 2, "ULOG": 1}, first=6)


Small = tuple[dict[str, bytes], dict[str, bytes]]


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(folder: Path, small: Small, make: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for part, contents in zip(("images_background", "images_evaluation"), small, strict=True):
        make.zip(folder / f"{part}.zip", {f"{part}/": b"", **contents, f"__MACOSX/{part}/._a.png": b"junk"})
    return folder


def one_shot(path: Path, threshold: int = 1, **settings: Any) -> Any:
    return Source.parse({"name": "omniglot", "path": path, **settings}).one_shot(ClassSplit(threshold=threshold))


def test_packed_and_unpacked_are_the_same(small: Small, tmp_path: Path, make: Any) -> None:
    packed = pack(tmp_path / "packed", small, make)
    unpacked = write(tmp_path / "unpacked", {**small[0], **small[1]})
    mixed = tmp_path / "mixed"
    shutil.copytree(unpacked / "images_background", mixed / "python/images_background")
    shutil.copy(packed / "images_evaluation.zip", mixed / "python")
    places = [packed, packed / "images_background.zip", unpacked, unpacked / "images_evaluation", mixed]
    assert len({one_shot(place).fingerprint for place in places}) == 1


def test_parts_by_alphabet_character_and_drawer(small: Small, tmp_path: Path, make: Any) -> None:
    data = one_shot(pack(tmp_path / "packed", small, make))
    assert data.test.classes == ("Angelic/character01", "Angelic/character02", "ULOG/character01")
    assert torch.equal(data.test.images[21, 0], torch.from_numpy(np.where(np.arange(105) == 10, 0, 255))[:, None].expand(-1, 105))
    assert (len(data.train.classes) + len(data.threshold.classes), len(data.test)) == (6, 60)
    assert data.held_out == "1 of 3 background alphabets"
    assert len({group_of(name) for name in data.threshold.classes}) == 1
    assert data.runs == ()


def test_as_ordinary_classification_the_last_four_drawers_are_tested(small: Small, tmp_path: Path, make: Any) -> None:
    data = load({"name": "omniglot", "path": pack(tmp_path / "packed", small, make)})
    assert data.train.classes[0] == "Greek/character01"
    assert torch.bincount(data.train.labels).tolist() == [16] * 6
    rows = (data.test.images[:4, 0, :, 0] == 0).nonzero()[:, 1]
    assert rows.tolist() == [18, 19, 20, 21]


def test_smaller_drawings_are_resized_by_area(small: Small, tmp_path: Path, make: Any) -> None:
    place = pack(tmp_path / "packed", small, make)
    full, third = (one_shot(place, size=size).test.images for size in (105, 35))
    assert third.shape == (60, 1, 35, 35)
    assert torch.equal(third, torch.nn.functional.avg_pool2d(full.float(), 3).round().to(torch.uint8))


@pytest.mark.parametrize("packed", [True, False])
def test_a_copy_that_is_not_whole_is_refused_by_its_counts(small: Small, tmp_path: Path, make: Any, packed: bool) -> None:
    for lost, counted in (("N_Ko/", "3 characters of 2 alphabets, 20"), ("Latin/character01/0003_20", "6 .* 3 .*, 19 to 20")):
        background = {name: data for name, data in small[0].items() if lost not in name}
        place = tmp_path / lost.replace("/", "-")
        place = pack(place, (background, small[1]), make) if packed else write(place, {**background, **small[1]})
        expected = rf"images_background\S*: expected 6 characters of 3 alphabets, 20 drawings each; counted {counted} drawings"
        with pytest.raises(TurncoatError, match=expected):
            one_shot(place)


def test_other_mistakes(small: Small, tmp_path: Path, make: Any) -> None:
    with pytest.raises(TurncoatError, match=r"expected images_background\.zip or images_background in it, found neither"):
        one_shot(tmp_path)
    tiny = {name: drawing(i, 28) for i, name in enumerate({**small[0], **small[1]})}
    with pytest.raises(TurncoatError, match=r"expected drawings of 105x105 pixels, got \(28, 28\)"):
        one_shot(write(tmp_path / "tiny", tiny))
    flat = {"loose.png": drawing(0), **small[0]}
    with pytest.raises(TurncoatError, match=r"expected drawings in ALPHABET/CHARACTER/, got 'loose\.png'"):
        one_shot(pack(tmp_path / "flat", (flat, small[1]), make))
    twin = {name.replace("ULOG", "Latin"): data for name, data in small[1].items()}
    with pytest.raises(TurncoatError, match="expected other characters to test on, got 'Latin/character01' in both parts"):
        one_shot(pack(tmp_path / "twin", (small[0], twin), make))
    with pytest.raises(TurncoatError, match="hold out fewer than its 3 background alphabets, got 3"):
        one_shot(pack(tmp_path / "whole", small, make), threshold=3)
    escaping = make.zip(tmp_path / "whole" / "images_evaluation.zip", {**small[1], "../out/a/b.png": drawing(0)})
    with pytest.raises(TurncoatError, match="which escapes it"):
        one_shot(escaping)


def run_files(turn: int = 7) -> dict[str, bytes]:
    """All runs: the query of way k is item (k + turn) % 20; way k of run r has ink in row r + k, its query in r + k + 40."""
    found: dict[str, bytes] = {}
    for r in range(1, 21):
        lines: list[str] = []
        for k in range(20):
            item, way = f"run{r:02d}/test/item{(k + turn) % 20 + 1:02d}.png", f"run{r:02d}/training/class{k + 1:02d}.png"
            found |= {item: drawing(r + k + 40), way: drawing(r + k)}
            lines.append(f"{item} {way}\n")
        found[f"run{r:02d}/class_labels.txt"] = "".join(sorted(lines)).encode()
    return found


def ink_rows(images: torch.Tensor) -> list[int]:
    return (images[:, 0, :, 0] == 0).int().argmax(1).tolist()


def test_runs_packed_and_unpacked(tmp_path: Path, make: Any) -> None:
    files = run_files()
    (tmp_path / "packed").mkdir()
    archive = make.zip(tmp_path / "packed/all_runs.zip", {**files, "__MACOSX/run01/test/._item01.png": b"junk"})
    folder = write(tmp_path / "unpacked/all_runs", files)
    for place in (archive, archive.parent, folder, folder.parent):
        runs = read_runs(place)
        assert len(runs) == 20
        for r, run in enumerate(runs, 1):
            assert run.support.shape == run.queries.shape == (20, 1, 105, 105)
            assert ink_rows(run.support) == [r + k for k in range(20)]
            assert run.answers.tolist() == [(i - 7) % 20 for i in range(20)]
            assert ink_rows(run.queries) == [r + k + 40 for k in run.answers.tolist()]
    assert read_runs(archive, 35)[0].queries.shape == (20, 1, 35, 35)


def test_one_run_as_a_data_set(tmp_path: Path, make: Any) -> None:
    archive = make.zip(tmp_path / "all_runs.zip", run_files())
    data = load({"name": "lake-runs", "path": archive, "run": 20})
    assert ink_rows(data.train.images) == [20 + k for k in range(20)]
    assert ink_rows(data.test.images) == [60 + k for k in data.test.labels.tolist()]
    assert data.train.classes[::19] == ("class01", "class20")
    assert data.train.labels.tolist() == list(range(20))
    with pytest.raises(TurncoatError, match="data: run: "):
        load({"name": "lake-runs", "path": archive, "run": 21})
    with pytest.raises(TurncoatError, match="lake-runs: expected data to train on"):
        Source.parse({"name": "lake-runs", "path": archive}).one_shot(ClassSplit())


def test_a_changed_label_file_is_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "all_runs", run_files())
    before = read_runs(folder)[4].answers
    (folder / "run05/class_labels.txt").write_bytes(run_files(turn=3)["run05/class_labels.txt"])
    assert read_runs(folder)[4].answers.tolist() != before.tolist()


LINE = b"run03/test/item01.png run03/training/class14.png\n"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"run03/class_labels.txt": None}, "expected run03 with 20 ways, 20 queries and class_labels.txt, got .* and no class"),
        ({"run03/test/item09.png": None}, "expected run03 with .*, got 20 ways, 19 queries and its"),
        ({"run20/training/class01.png": None}, "expected run20 with .*, got 19 ways"),
        ({"run03/class_labels.txt": (LINE, b"")}, r"run03/class_labels\.txt: expected each query once, .*see .*item01"),
        ({"run03/class_labels.txt": (b"item01", b"item21")}, r"run03/class_labels\.txt: expected each query once"),
        ({"run03/class_labels.txt": (b"class14", b"class15")}, r"run03/class_labels\.txt: expected each query once, .*class14"),
        ({"run03/class_labels.txt": (b"item02", b"item01")}, "line 2: expected a query's path, a space and its way's"),
        ({"run03/class_labels.txt": (LINE, b"a b c\n")}, r"line 1: expected a query's path.*, got 'a b c'"),
        ({"run03/class_labels.txt": (b"run03/t", b"run04/t")}, r"run03/class_labels\.txt: expected each query once"),
    ],
)
def test_runs_that_do_not_fit_their_labels_are_refused(changes: dict[str, Any], expected: str, tmp_path: Path, make: Any) -> None:
    files = run_files()
    for name, change in changes.items():
        if change is None:
            del files[name]
        else:
            assert change[0] in files[name]
            files[name] = files[name].replace(*change)
    with pytest.raises(TurncoatError, match=expected):
        read_runs(make.zip(tmp_path / "all_runs.zip", files))


def test_a_run_that_is_there_twice_is_refused(tmp_path: Path, make: Any) -> None:
    files = run_files()
    with pytest.raises(TurncoatError, match=r"expected each file of a run once, got run01/test/item\d\d\.png twice"):
        read_runs(make.zip(tmp_path / "all_runs.zip", {**files, **{f"copy/{name}": data for name, data in files.items()}}))


def test_runs_beside_a_local_copy_and_downloaded(small: Small, tmp_path: Path, make: Any) -> None:
    place = pack(tmp_path / "packed", small, make)
    assert one_shot(place).runs == ()
    LakeRuns.home().mkdir(parents=True)
    make.zip(LakeRuns.home() / "all_runs.zip", run_files())
    assert ink_rows(one_shot(place).runs[0].support)[0] == 1
    write(place / "all_runs", {name: drawing(99) if name.endswith("png") else data for name, data in run_files().items()})
    assert ink_rows(one_shot(place).runs[0].support)[0] == 99
    assert one_shot(place, size=21).runs[19].queries.shape == (20, 1, 21, 21)


LOAD = """
import sys, time
from turncoat.data import Source
from turncoat.data.oneshot import ClassSplit
begin = time.perf_counter()
data = Source.parse({"name": "omniglot", "path": sys.argv[1]}).one_shot(ClassSplit())
print(time.perf_counter() - begin, data.fingerprint)
"""


@pytest.mark.real
def test_real_omniglot(real_data: Path, tmp_path: Path) -> None:
    root = real_data / "omniglot"
    data = one_shot(root, threshold=5)
    parts = (data.train, data.threshold, data.test)
    assert [len({group_of(name) for name in part.classes}) for part in parts] == [25, 5, 20]
    assert len(data.train.classes) + len(data.threshold.classes) == 964
    assert (len(data.test.classes), len(data.test), data.test.shape) == (659, 13_180, (1, 105, 105))
    assert all(torch.bincount(part.labels).unique().tolist() == [20] for part in parts)
    assert data.test.images[::100].unique().tolist() == [0, 255]
    assert 230 < data.train.images[::100].float().mean() < 245

    assert len(data.runs) == 20
    evaluation = {image.tobytes() for image in data.test.images.numpy()}
    assert all(image.tobytes() in evaluation for run in data.runs for image in (*run.support.numpy(), *run.queries.numpy()))
    lookup = {image.tobytes(): int(label) for image, label in zip(data.test.images.numpy(), data.test.labels, strict=True)}
    for run in data.runs:
        ways = [lookup[image.tobytes()] for image in run.support.numpy()]
        assert [ways[i] for i in run.answers.tolist()] == [lookup[image.tobytes()] for image in run.queries.numpy()]
        assert len({group_of(data.test.classes[way]) for way in ways}) == 1

    for archive in ("images_background", "images_evaluation", "all_runs"):
        with zipfile.ZipFile(root / f"{archive}.zip") as packed:
            packed.extractall(tmp_path / ("all_runs" if archive == "all_runs" else "."))
    assert one_shot(tmp_path, threshold=5).fingerprint == data.fingerprint

    command = [sys.executable, "-c", LOAD, str(root)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert {fingerprint for _, fingerprint in runs} == {data.fingerprint}
    assert min(float(seconds) for seconds, _ in runs) < 1


@pytest.mark.real
def test_the_real_runs_are_the_published_file(real_data: Path) -> None:
    from turncoat.data.download import matches

    assert matches(real_data / "omniglot/all_runs.zip", LakeRuns.files[0].checksum)
    first, last = (load({"name": "lake-runs", "path": real_data / "omniglot", "run": run}) for run in (1, 20))
    assert first.fingerprint != last.fingerprint
    assert first.test.labels[:4].tolist() == [7, 8, 1, 18]
