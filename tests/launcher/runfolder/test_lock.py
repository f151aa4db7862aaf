import os
import subprocess
import sys

import pytest

from launcher.runfolder import lock
from launcher.runfolder.lock import Lock, Locked, holder


def test_a_lock_names_who_holds_it_until_it_is_let_go(tmp_path):
    path = tmp_path / "node.lock"
    assert holder(path) is None
    with Lock(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None
    assert path.exists()


def test_a_lock_that_another_holds_is_refused_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.15)
    with Lock(tmp_path / "node.lock"), pytest.raises(Locked), Lock(tmp_path / "node.lock"):
        pass


def test_a_lock_lives_as_long_as_anybody_who_inherited_it(tmp_path, until):
    path = tmp_path / "node.lock"
    with Lock(path) as held:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(held.handle,), text=True
        )
    assert holder(path) == os.getpid()
    child.communicate("\n")
    until(lambda: holder(path) is None, "the release")


def test_a_lock_without_a_readable_name_is_held_by_somebody(tmp_path):
    path = tmp_path / "node.lock"
    with Lock(path) as held:
        os.ftruncate(held.handle, 0)
        assert holder(path) == 0


def test_two_who_look_at_once_both_see_that_nobody_works(tmp_path):
    import fcntl

    path = tmp_path / "node.lock"
    path.touch()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert holder(path) is None
    os.close(looking)
    with Lock(path):
        pass
