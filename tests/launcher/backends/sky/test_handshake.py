"""A job that waits for its upload: in bash itself, as SkyPilot would start it."""

import contextlib
import os
import subprocess
import time

import pytest

from launcher.backends.sky.handshake import PATIENCE, WAIT, Handshake
from launcher.transfer.ssh import Remote
from tests.support.patience import patience


@pytest.fixture
def place(tmp_path):
    return tmp_path / "it's a run"


@pytest.fixture
def handshake(remote, place):
    return Handshake(remote, str(place))


@contextlib.contextmanager
def job(place, token, patience=60):
    """A job, which says that it began; ended with the block."""
    env = {**os.environ, "RUN": str(place), "LAUNCH": token}
    wait = WAIT.replace(f"-gt {PATIENCE} ]", f"-gt {patience} ]")
    assert wait != WAIT
    with subprocess.Popen(["bash", "-c", f"{wait}echo begun"], env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def waits(process):
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    return True


def test_a_job_begins_when_the_token_of_its_launch_is_there(handshake, place):
    with job(place, "mine") as process, handshake.upload():
        handshake.start("another", 1, 0)
        assert waits(process)
        handshake.start("mine", 2, 7)
        assert process.communicate(timeout=patience(30))[0] == "begun\n"
    assert (handshake.events_before(1), handshake.events_before(2)) == (None, 7)


def test_what_an_earlier_launch_left_is_no_permission_to_begin(handshake, place):
    with handshake.upload():
        handshake.start("mine", 1, 3)
    with handshake.upload(), job(place, "mine") as process:
        assert handshake.events_before(1) is None
        assert waits(process)


def test_a_job_for_which_nobody_sends_ends_by_itself(place):
    with job(place, "mine", patience=1) as process:
        assert (
            process.communicate(timeout=patience(30))[0] == "the upload for this run was not completed: launch again\n"
        )
        assert process.returncode == 33


def test_a_job_waits_as_long_as_somebody_uploads(handshake, place, monkeypatch):
    monkeypatch.setattr("launcher.transfer.ssh.KEEP_ALIVE", 0.2)
    with handshake.upload(), job(place, "mine", patience=2) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)
    with job(place, "mine", patience=1) as process:
        assert process.wait(30) == 33


def test_before_anything_was_sent_no_job_has_begun(handshake):
    assert handshake.events_before(1) is None


def test_a_terminal_closes_when_nobody_is_heard(remote, tmp_path, monkeypatch):
    monkeypatch.setattr("launcher.transfer.ssh.PATIENCE", 1)
    sign = tmp_path / "sign"
    with remote.terminal(f"echo heard >> {sign}"):
        time.sleep(3)
        said = sign.read_text()
        time.sleep(2)
        assert sign.read_text() == said == "heard\n"


def test_a_machine_that_cannot_be_reached_ends_no_copy():
    with Remote("no-such-host.invalid").terminal():
        pass
