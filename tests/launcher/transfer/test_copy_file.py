import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.runfolder.files import sha256
from launcher.transfer.copy import copy, link_or_copy

CONTENT = bytes(range(256)) * 40


def nothing(_):
    pass


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that counts as a large one."""
    monkeypatch.setattr("launcher.transfer.copy.SHARED", len(CONTENT))
    (tmp_path / "source").write_bytes(CONTENT)
    return tmp_path / "source"


@settings(max_examples=40, deadline=None)
@given(length=st.integers(0, len(CONTENT) + 300), right=st.booleans(), filler=st.integers(0, 255))
def test_a_copy_that_was_cut_off_goes_on_whatever_lies_there(length, right, filler):
    folder = Path(tempfile.mkdtemp())
    try:
        source, target, heard = folder / "source", folder / "target", []
        source.write_bytes(CONTENT)
        begun = CONTENT[:length].ljust(length, bytes([filler])) if right else bytes([filler]) * length
        (folder / ".target.part").write_bytes(begun)
        wanted = sha256(source)
        assert copy(source, target, heard.append, wanted) == wanted
        assert target.read_bytes() == CONTENT
        assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]
        assert sum(heard) == max(length, len(CONTENT))
    finally:
        shutil.rmtree(folder)


def test_a_copy_that_goes_on_reads_only_what_is_missing(tmp_path):
    """The first half at the source is spoilt: only a copy that does not read it again can be right."""
    wanted = tmp_path / "wanted"
    wanted.write_bytes(CONTENT)
    (tmp_path / "source").write_bytes(b"x" * 4096 + CONTENT[4096:])
    (tmp_path / ".target.part").write_bytes(CONTENT[:4096])
    assert copy(tmp_path / "source", tmp_path / "target", nothing, sha256(wanted)) == sha256(wanted)
    assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_large_file_gets_a_second_name_that_nobody_writes_to(large, tmp_path):
    heard = []
    target = tmp_path / "target"
    assert link_or_copy(large, target, heard.append, sha256(large)) == sha256(large)
    assert target.samefile(large) and sum(heard) == len(CONTENT)
    assert not stat.S_IMODE(target.stat().st_mode) & 0o222
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_second_name_takes_the_place_of_what_lies_there_and_of_a_copy_that_was_cut_off(large, tmp_path):
    (tmp_path / "target").write_bytes(b"an earlier one")
    (tmp_path / ".target.part").write_bytes(CONTENT[:10])
    link_or_copy(large, tmp_path / "target", nothing, sha256(large))
    assert (tmp_path / "target").samefile(large)
    link_or_copy(large, tmp_path / "target", nothing, sha256(large))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_large_file_that_is_not_the_wanted_one_takes_no_place(large, tmp_path):
    assert link_or_copy(large, tmp_path / "target", nothing, "0" * 64) == sha256(large)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_large_file_behind_a_link_is_named_and_not_the_link(large, tmp_path):
    (tmp_path / "link").symlink_to(large)
    link_or_copy(tmp_path / "link", tmp_path / "target", nothing, sha256(large))
    assert (tmp_path / "target").samefile(large) and not (tmp_path / "target").is_symlink()


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK])
def test_where_a_file_cannot_have_two_names_it_is_copied(large, tmp_path, monkeypatch, reason):
    def refuses(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuses)
    assert link_or_copy(large, tmp_path / "target", nothing, sha256(large)) == sha256(large)
    assert (tmp_path / "target").read_bytes() == CONTENT and not (tmp_path / "target").samefile(large)


def test_another_refusal_of_the_file_system_is_said(large, tmp_path, monkeypatch):
    def refuses(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", refuses)
    with pytest.raises(OSError, match="No space left"):
        link_or_copy(large, tmp_path / "target", nothing, sha256(large))
