from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.errors import TurncoatError
from turncoat.experiment.yamlfile import read_yaml

BAD = {
    "syntax": ("data: [digits\nmodel: x\n", "line 2, column 6"),
    "tab": ("data:\n\tname: x\n", "line 2"),
    "duplicate": ("a: 1\nb: 2\na: 3\n", "line 3, column 1: 'a' is given twice, first in line 1"),
    "duplicate below": ("a: {b: 1, b: 2}\n", "'b' is given twice"),
    "python tag": ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
    "list": ("- a\n- b\n", "expected settings as 'name: value' lines, got a list"),
    "empty": ("", "got an empty file"),
    "number as a name": ("1: x\n", "expected names as settings, got 1"),
    "date out of range": ("a: 2020-13-45\n", "not valid YAML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line_with_its_place(case: str, tmp_path: Path) -> None:
    text, expected = BAD[case]
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(TurncoatError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TurncoatError, match="UTF-8"):
        read_yaml(tmp_path / "binary.yaml")


def test_merge_keys_are_no_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("a: &x {b: 1}\nc: {<<: *x, d: 2}\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
