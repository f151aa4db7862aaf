import os
import sys
from pathlib import Path

from launcher.backends import local
from launcher.node.folder import RunFolder
from launcher.node.lock import Lock


def test_a_python_that_is_not_there_is_a_sentence_that_says_who_named_it(tmp_path, refusal):
    hint = "hint: run `make setup-cpu`, or name a Python in site.yaml under `local.python`"
    place = tmp_path / ".venv-cpu/bin/python"
    assert refusal(local.find_python, tmp_path, None) == (
        f"error: `{place}` does not exist: the recipes' CPU environment is not made yet\n\n{hint}"
    )
    assert refusal(local.find_python, tmp_path, "/not/there") == (
        f"error: `/not/there` does not exist: site.yaml says so\n\n{hint}"
    )
    assert local.find_python(tmp_path, sys.executable) == Path(sys.executable)


def test_the_project_s_own_environment_is_taken_when_there_is_one(tmp_path):
    (tmp_path / ".venv-cpu/bin").mkdir(parents=True)
    (tmp_path / ".venv-cpu/bin/python").touch()
    assert local.find_python(tmp_path, None) == tmp_path / ".venv-cpu/bin/python"


def test_stopping_what_does_not_run_is_done_at_once(tmp_path):
    folder = RunFolder(tmp_path)
    assert not local.is_running(folder)
    assert local.stop(folder, 0)
    folder.lock.write_text("1\n")
    assert local.stop(folder, 0)


def test_stopping_what_does_not_end_in_time_says_so_and_a_holder_that_is_gone_is_no_fault(tmp_path):
    """The lock's holder has died; what it left behind still holds the lock."""
    folder = RunFolder(tmp_path)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with Lock(folder.lock) as held:
        os.ftruncate(held.handle, 0)
        os.pwrite(held.handle, f"{child}\n".encode(), 0)
        assert local.is_running(folder)
        assert not local.stop(folder, 0.1)


def test_a_launched_node_program_leads_a_session_of_its_own_and_logs_to_the_run(toy, until):
    node = toy.node("sum.fault=hold@3", stages="short")
    process = local.launch(node.folder, toy.root, Path(sys.executable))
    toy.processes.append(process)
    node.at_step("sum", 3)
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert local.is_running(node.folder)
    assert local.stop(node.folder, 30)
    assert process.wait(timeout=30) == 33
    assert "error: stage `sum` was interrupted" in node.folder.node_log.read_text()
