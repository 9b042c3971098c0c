import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from turncoat.attacks import Attack, pngfolder
from turncoat.attacks.export import Written, write_poisoned
from turncoat.attacks.pngfolder import folder_name
from turncoat.data import ImageSet, Splits, load
from turncoat.errors import TurncoatError
from turncoat.seeds import generator

CLASSES = ("zebra", "a/b", "CON", "..", "naïve 猫", "50%")


def splits(channels: int = 3, classes: tuple[str, ...] = CLASSES) -> Splits:
    draw = torch.Generator().manual_seed(3)

    def part(count: int) -> ImageSet:
        pixels = torch.randint(0, 256, (count, channels, 9, 7), dtype=torch.uint8, generator=draw)
        return ImageSet(pixels, torch.arange(count) % len(classes), classes)

    return Splits(part(120), part(30))


def attack(**settings: Any) -> Attack:
    return Attack.parse({"name": "badnets", "rate": 0.1, **settings})


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        array = np.array(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.fixture
def data() -> Splits:
    return splits()


@pytest.fixture
def written(tmp_path: Path, data: Splits) -> Written:
    return write_poisoned(data, attack(), tmp_path / "out", seed=4)


def test_what_is_written_is_what_a_trial_of_that_seed_trains_on(written: Written, data: Splits):
    poisoned = attack().fit(data.train, generator(4, "poison")).poison(data.train)
    rows = table(written.truth / "manifest.csv")
    assert len(rows) == 120
    assert sum(row["poisoned"] == "1" for row in rows) == written.poisoned == 12
    expected = {
        (
            image.numpy().tobytes(),
            CLASSES[true],
            CLASSES[given],
            str(int(chosen)),
        )
        for image, true, given, chosen in zip(
            poisoned.data.images, data.train.labels, poisoned.data.labels, poisoned.poisoned, strict=True
        )
    }
    found = {
        (pixels(written.folder / row["file"]).tobytes(), row["true_label"], row["given_label"], row["poisoned"]) for row in rows
    }
    assert found == expected
    assert all(row["file"].split("/")[1] == folder_name(row["given_label"]) for row in rows)


@pytest.mark.parametrize("channels", [1, 3])
def test_read_back_as_a_folder_it_is_the_same_set(tmp_path: Path, channels: int):
    data = splits(channels, ("b", "a", "c"))
    out = write_poisoned(data, attack(), tmp_path / "out").folder
    back = load(f"folder:{out}")
    poisoned = attack().fit(data.train, generator(0, "poison")).poison(data.train)
    for there, here in ((poisoned.data, back.train), (data.test, back.test)):
        assert here.shape == there.shape
        assert {(i.numpy().tobytes(), there.classes[y]) for i, y in zip(there.images, there.labels, strict=True)} == {
            (i.numpy().tobytes(), here.classes[y]) for i, y in zip(here.images, here.labels, strict=True)
        }


def test_nothing_but_the_pixels_tells_poisoned_files_apart(written: Written):
    rows = table(written.truth / "manifest.csv")
    names = [Path(row["file"]).name for row in rows]
    assert names == [f"{number:06}.png" for number in range(120)]
    places = [i for i, row in enumerate(rows) if row["poisoned"] == "1"]
    assert 20 < sum(places) / len(places) < 100, "neither in front nor at the end"
    files = [path for path in written.folder.rglob("*") if path.is_file()]
    assert len(files) == 150
    assert {file.stat().st_mtime_ns for file in files} == {946684800 * 10**9}
    assert {file.stat().st_mode for file in files} == {files[0].stat().st_mode}
    for file in files:
        with Image.open(file) as image:
            assert not image.info
            assert (image.format, image.mode) == ("PNG", "RGB")
    assert sorted(path.name for path in written.folder.iterdir()) == ["test", "train"]


def test_the_order_in_a_class_is_not_that_of_the_source(written: Written, data: Splits):
    rows = table(written.truth / "manifest.csv")
    first = [pixels(written.folder / row["file"]).tobytes() for row in rows]
    source = [image.numpy().tobytes() for image in data.train.images]
    kept = [source.index(image) for image in first if image in source]
    assert kept != sorted(kept)


def test_triggered_test_images_measure_the_asr_with_any_code(written: Written, data: Splits):
    rows = table(written.truth / "test-triggered.csv")
    assert len(rows) == 30
    for row in rows:
        shown, clean = pixels(written.truth / row["file"]), pixels(written.folder / row["clean_file"])
        assert row["file"].split("/")[1] == row["clean_file"].split("/")[1] == folder_name(row["true_label"])
        assert row["target"] == "zebra"
        assert (row["counted"] == "1") == (row["true_label"] != "zebra")
        assert shown[:, 5, 3].tolist() == [255] * 3  # top left of the patch: rows 5-7 of 9, columns 3-5 of 7
        assert np.array_equal(shown[:, :5], clean[:, :5])
    clean = {pixels(written.folder / row["clean_file"]).tobytes() for row in rows}
    assert clean == {image.numpy().tobytes() for image in data.test.images}


def test_untargeted_has_no_target_and_cover_samples_are_told(tmp_path: Path, data: Splits):
    written = write_poisoned(data, attack(goal="untargeted"), tmp_path / "any")
    assert {row["target"] for row in table(written.truth / "test-triggered.csv")} == {""}
    specific = {"name": "source-specific", "source": "a/b", "target": "zebra"}
    written = write_poisoned(data, attack(goal=specific), tmp_path / "one")
    rows = table(written.truth / "manifest.csv")
    assert sum(row["cover"] == "1" for row in rows) == written.cover == 12
    assert all(row["true_label"] == row["given_label"] for row in rows if row["cover"] == "1")
    assert {row["true_label"] for row in rows if row["poisoned"] == "1"} == {"a/b"}


def test_attack_json_is_enough_to_repeat_it(tmp_path: Path, written: Written, data: Splits):
    document = json.loads((written.truth / "attack.json").read_text())
    assert document["classes"] == list(CLASSES)
    assert document["source"]["fingerprint"] == data.fingerprint
    assert (document["poisoned"], document["rate"], document["relabelled"]) == (12, 0.1, 0.1)
    again = write_poisoned(data, Attack.parse(document["attack"]), tmp_path / "again", document["seed"])
    for one, other in ((written.folder, again.folder), (written.truth, again.truth)):
        files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
        assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
        assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("cat", "cat"),
        ("tench, Tinca tinca", "tench, Tinca tinca"),
        ("猫", "猫"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        (".hidden", "%2Ehidden"),
        ("dot.", "dot%2E"),
        ("space ", "space%20"),
        ("nul", "%6Eul"),
        ("COM1.txt", "%43OM1.txt"),
        ("a\\b:c", "a%5Cb%3Ac"),
        ("two\nlines", "two%0Alines"),
        ("\udcff", "%ED%B3%BF"),
        ("__MACOSX", "%5F_MACOSX"),
    ],
)
def test_folder_names_are_safe(name: str, folder: str):
    assert folder_name(name) == folder


@pytest.mark.parametrize("name", ["", "x" * 201, "/" * 70])
def test_names_that_no_folder_can_have(name: str):
    with pytest.raises(TurncoatError, match="expected 1 to 200 bytes"):
        folder_name(name)


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("taken", ["out", "out.truth"])
def test_what_is_there_is_not_touched(tmp_path: Path, data: Splits, taken: str):
    (tmp_path / taken).mkdir()
    (tmp_path / taken / "mine").write_text("mine")
    with pytest.raises(TurncoatError, match=rf"{taken}: is there already; name a new folder"):
        write_poisoned(data, attack(), tmp_path / "out")
    assert entries(tmp_path) == [taken]
    assert (tmp_path / taken / "mine").read_text() == "mine"


def test_an_empty_folder_is_fine_and_a_file_is_not(tmp_path: Path, data: Splits):
    (tmp_path / "out").mkdir()
    write_poisoned(data, attack(), tmp_path / "out")
    assert entries(tmp_path) == ["out", "out.truth"]
    (tmp_path / "file").write_text("")
    with pytest.raises(TurncoatError, match="is there already"):
        write_poisoned(data, attack(), tmp_path / "file")
    with pytest.raises(TurncoatError, match=r"file/below: could not be written: "):
        write_poisoned(data, attack(), tmp_path / "file" / "below")


def test_an_attack_that_does_not_fit_writes_nothing(tmp_path: Path, data: Splits):
    with pytest.raises(TurncoatError, match=r"attack\.patch: 8x8 pixels"):
        write_poisoned(data, attack(patch={"size": 8}), tmp_path / "out")
    assert entries(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")], ids=["Ctrl-C", "full disk"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_interrupted_it_leaves_nothing(
    tmp_path: Path, data: Splits, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException
):
    calls = 0
    original = pngfolder._write_part

    def failing(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error
        original(*args)

    monkeypatch.setattr(pngfolder, "_write_part", failing)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else TurncoatError
    with pytest.raises(expected):
        write_poisoned(data, attack(), tmp_path / "out")
    assert entries(tmp_path) == []


def test_interrupted_between_the_two_folders_it_leaves_nothing(tmp_path: Path, data: Splits, monkeypatch: pytest.MonkeyPatch):
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target.name == "out":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt):
        write_poisoned(data, attack(), tmp_path / "out")
    assert entries(tmp_path) == []


def test_progress_reaches_its_end(tmp_path: Path, data: Splits):
    seen: dict[str, tuple[int, int]] = {}

    def progress(what: str, done: int, total: int) -> None:
        seen[what] = (done, total)

    write_poisoned(data, attack(), tmp_path / "out", progress=progress)
    assert seen == {"writing train/": (120, 120), "writing test/": (30, 30), "writing test-triggered/": (30, 30)}
    shutil.rmtree(tmp_path / "out")
