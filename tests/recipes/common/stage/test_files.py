"""Whole or absent, whatever happens in between."""

import errno

import pytest

from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import whole_folder


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("exists", [False, True])
def test_the_folder_appears_when_the_block_has_ended(tmp_path, exists):
    target = tmp_path / "deep" / "out"
    if exists:
        target.mkdir(parents=True)
    with whole_folder(target) as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text("text")
        assert target.exists() == exists
    assert content(target) == {"sub/file": "text"}
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_is_left_of_a_block_that_fails(tmp_path, exists):
    target = tmp_path / "out"
    if exists:
        target.mkdir()
    with pytest.raises(ZeroDivisionError), whole_folder(target) as part:
        (part / "file").write_text("text")
        raise ZeroDivisionError
    assert list(tmp_path.rglob("*")) == ([target] if exists else [])


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".out.part"
    left.mkdir()
    (left / "half").write_text("x")
    with whole_folder(tmp_path / "out") as part:
        (part / "file").write_text("text")
    assert content(tmp_path) == {"out/file": "text"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_is_kept(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "folder":
        target.mkdir()
    kept = target if kind == "file" else target / "kept"
    kept.write_text("text")
    with pytest.raises(Mistake) as caught, whole_folder(target):
        pass
    assert caught.value.error == f"`{target}` exists and is not an empty folder"
    assert caught.value.hint == "name a new folder, or remove this one"
    assert kept.read_text() == "text"


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    with whole_folder(tmp_path / "out") as part:
        (part / "file").write_text("text")
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "disk") == {"file": "text"}


def test_a_full_disk_is_said_in_a_sentence(tmp_path):
    with pytest.raises(StageError) as caught, whole_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.error == f"`{tmp_path / 'out'}`: No space left on device"
    assert caught.value.hint == "name a folder on a disk that has room and that you may write to"
    assert list(tmp_path.iterdir()) == []
