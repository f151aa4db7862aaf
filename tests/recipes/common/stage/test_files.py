"""Whole or absent, whatever happens in between."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.common.stage.command import Mistake, StageError
from recipes.common.stage.files import copy_files, read_json, whole_folder


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


def test_a_second_process_says_that_the_folder_is_being_written(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom recipes.common.stage.command import run\n"
        "from recipes.common.stage.files import whole_folder\n"
        "def main():\n    with whole_folder(Path(sys.argv[1])):\n        pass\nrun(main)"
    )
    target = tmp_path / "out"
    with whole_folder(target) as part:
        (part / "file").write_text("first")
        root = Path(__file__).parents[4]
        ended = subprocess.run([sys.executable, "-c", code, str(target)], cwd=root, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        3,
        f"error: `{target}`: another process is writing it\n\nhint: wait until it has ended, or name another folder\n",
    )
    assert content(tmp_path) == {"out/file": "first"}


def test_a_lock_file_that_a_killed_process_left_locks_nothing(tmp_path):
    (tmp_path / ".out.lock").touch()
    with whole_folder(tmp_path / "out") as part:
        (part / "file").write_text("text")
    assert content(tmp_path) == {"out/file": "text"}


def test_a_lock_that_was_removed_while_it_was_waited_for_is_taken_anew(tmp_path, monkeypatch):
    """The other process ended between the opening of the file and the lock."""
    flock, locked = fcntl.flock, []

    def slow(handle, operation):
        if not locked:
            (tmp_path / ".out.lock").unlink()
        locked.append(handle)
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    with whole_folder(tmp_path / "out"), pytest.raises(StageError) as caught, whole_folder(tmp_path / "out"):
        pass
    assert len(locked) == 3
    assert caught.value.error == f"`{tmp_path / 'out'}`: another process is writing it"


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def flock(handle, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with whole_folder(tmp_path / "out") as part:
        (part / "file").write_text("text")
    assert content(tmp_path) == {"out/file": "text"}
    assert capsys.readouterr().err == (f"{tmp_path}: its file system has no locks: let no other process write there\n")


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source/sub").mkdir(parents=True)
    (tmp_path / "source/sub/a.json").write_text("a")
    (tmp_path / "source/b.bin").write_text("b")
    (tmp_path / "source/link").symlink_to("sub/a.json")
    return tmp_path / "source"


def test_files_are_copied_and_links_as_what_they_lead_to(source, tmp_path):
    copy_files(source, tmp_path / "copy", shutil.ignore_patterns("*.bin"))
    assert content(tmp_path / "copy") == {"sub/a.json": "a", "link": "a"}
    assert not (tmp_path / "copy/link").is_symlink()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.symlink_to("gone"), "a link to `gone`, which is not there"),
        (os.mkfifo, "not a file"),
    ],
    ids=["link", "pipe"],
)
def test_what_is_no_file_is_named(source, tmp_path, make, what):
    make(source / "sub/odd")
    with pytest.raises(StageError) as caught:
        copy_files(source, tmp_path / "copy", shutil.ignore_patterns())
    assert caught.value.error == f"`{source}/sub/odd`: {what}"
    assert caught.value.hint == "copy it again, or remove it if the model does not need it"


def test_a_folder_in_the_one_that_is_copied_is_refused_unless_it_is_left_out(source):
    (source / "sub/out").mkdir(parents=True, exist_ok=True)
    with pytest.raises(Mistake, match="the new folder lies in it"):
        copy_files(source, source / "sub/out", shutil.ignore_patterns("b.bin", "link"))
    copy_files(source, source / "sub/out", shutil.ignore_patterns("b.bin", "link", "out"))
    assert (source / "sub/out/sub/a.json").is_file()
    with pytest.raises(Mistake, match="is the root of the disk"), whole_folder(Path("/")):
        pass


def deny(*args, **options):
    """Root may read every file."""
    raise PermissionError(errno.EACCES, "Permission denied")


def test_what_may_not_be_read_is_named(source, tmp_path, monkeypatch):
    file = source / "sub/a.json"
    monkeypatch.setattr("shutil.copyfile", deny)
    monkeypatch.setattr(Path, "read_text", deny)
    hint = "ask its owner, or give yourself the right to read it: `chmod u+r {}`"
    for function, args, path in (
        (copy_files, (source, tmp_path, shutil.ignore_patterns("b.bin", "link")), file),
        (read_json, (file,), file),
    ):
        with pytest.raises(StageError) as caught:
            function(*args)
        assert (caught.value.error, caught.value.hint) == (f"`{path}`: Permission denied", hint.format(path))
