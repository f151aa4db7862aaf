"""A job that waits for its turn: in bash itself, as SkyPilot would start it."""

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
def turn(remote, place):
    return Handshake(remote, str(place))


@contextlib.contextmanager
def job(place, word, patience=60):
    """A job, which says that it began; ended with the block."""
    env = {**os.environ, "RUN": str(place), "LAUNCH": word}
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


def test_a_job_begins_when_the_word_of_its_launch_is_there(turn, place):
    with job(place, "mine") as process, turn.awaited():
        turn.give("another", 1, 0)
        assert waits(process)
        turn.give("mine", 2, 7)
        assert process.communicate(timeout=patience(30))[0] == "begun\n"
    assert (turn.given(1), turn.given(2)) == (None, 7)


def test_what_an_earlier_launch_left_is_nobody_s_turn(turn, place):
    with turn.awaited():
        turn.give("mine", 1, 3)
    with turn.awaited(), job(place, "mine") as process:
        assert turn.given(1) is None
        assert waits(process)


def test_a_job_for_which_nobody_sends_ends_by_itself(place):
    with job(place, "mine", patience=1) as process:
        assert process.communicate(timeout=patience(30))[0] == "nobody has sent what the run needs: launch again\n"
        assert process.returncode == 33


def test_a_job_waits_as_long_as_somebody_is_heard(turn, place, monkeypatch):
    monkeypatch.setattr("launcher.transfer.ssh.KEEP_ALIVE", 0.2)
    with turn.awaited(), job(place, "mine", patience=2) as process, pytest.raises(subprocess.TimeoutExpired):
        process.wait(5)
    with job(place, "mine", patience=1) as process:
        assert process.wait(30) == 33


def test_before_anything_was_sent_no_job_has_begun(turn):
    assert turn.given(1) is None


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
