"""Commands and copies over ssh, with a program in ssh's place that runs what it is told on this machine."""

import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import OURS, LaunchError
from launcher.transfer.ssh import NoRoom, Remote, Unreachable


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
def test_every_word_arrives_as_it_is(remote, words):
    code = "import sys, json; print(json.dumps(sys.argv[1:]))"
    assert json.loads(remote.run(sys.executable, "-c", code, *words)) == words


def test_what_fails_there_is_said_with_its_last_line(remote):
    with pytest.raises(LaunchError) as problem:
        remote.run("ls", "/no-such-folder")
    assert problem.value.error.startswith("`h`: `ls /no-such-folder` failed: ls: ")


def test_a_machine_that_does_not_answer_is_unreachable(remote, tmp_path):
    (tmp_path / "bin/down").touch()
    for ask in (lambda: remote.run("true"), lambda: remote.fetch("/x", tmp_path / "y")):
        with pytest.raises(Unreachable):
            ask()
    (tmp_path / "bin/down").unlink()
    with pytest.raises(Unreachable) as problem:
        remote.run("sleep", "5", timeout=0.2)
    assert problem.value.error == "`h` did not answer for 0 s"


def test_copies_come_and_go_under_any_name(remote, tmp_path):
    there, here = tmp_path / "the re; 'x'", tmp_path / "he re"
    for name in ("a b", "-c", "ü$(x)"):
        (here / name).mkdir(parents=True)
        (here / name / "f").write_text(name)
    there.mkdir()
    remote.send([f"{here}/./{name}" for name in ("a b", "-c", "ü$(x)")], f"{there}/", "--relative")
    assert sorted(path.name for path in there.iterdir()) == sorted(["a b", "-c", "ü$(x)"])
    remote.fetch(f"{there}/", tmp_path / "back")
    assert (tmp_path / "back/ü$(x)/f").read_text() == "ü$(x)"


@pytest.mark.parametrize("name", ["file", "folder/within/file"])
def test_a_disk_that_is_full_here_is_told_from_a_machine_that_fails(remote, tmp_path, small, name):
    there = tmp_path / "there" / name
    there.parent.mkdir(parents=True)
    there.write_bytes(b"x" * 100_000)
    small.fill()
    with pytest.raises(NoRoom) as problem:
        remote.fetch(f"{tmp_path}/there/", small / "here")
    assert problem.value.error == f"`{small}/here` cannot be written: No space left on device"
    assert problem.value.code == OURS
    small.free()
    remote.fetch(f"{tmp_path}/there/", small / "here")
    assert (small / "here" / name).read_bytes() == there.read_bytes()
    with pytest.raises(LaunchError) as problem:
        remote.fetch(f"{tmp_path}/nowhere/", small / "here")
    assert not isinstance(problem.value, NoRoom)


def test_no_password_is_ever_asked_for(remote, tmp_path):
    remote.run("true")
    assert "'-oBatchMode=yes'" in (tmp_path / "bin/calls").read_text()


def test_machines_behind_proxies_that_are_all_called_localhost_have_connections_of_their_own(tmp_path):
    config = "Host toy\n  HostName localhost\n  Port 10022\n  User root\n  ProxyCommand ssh -W %h:%p ubuntu@{ip}\n"
    paths = [tmp_path / name for name in ("one", "other", "again")]
    for path, ip in zip(paths, ("10.0.0.1", "10.0.0.2", "10.0.0.1"), strict=True):
        path.write_text(config.format(ip=ip))
    one, other, again = (shared(Remote("toy", path)) for path in paths)
    assert one != other and one == again and shared(Remote("toy-worker1", paths[0])) != one


def shared(remote):
    """Where ssh itself would have the connection."""
    said = subprocess.run([*remote.ssh, "-G", remote.host], capture_output=True, text=True, check=True).stdout
    return next(line for line in said.splitlines() if line.startswith("controlpath "))
