import os
import sys
from dataclasses import replace
from pathlib import Path

from launcher.backends import local
from launcher.backends.base import End
from launcher.backends.local import Local
from launcher.config.site import SiteFile
from launcher.node.__main__ import read_plan
from launcher.runfolder.lock import Lock
from launcher.runfolder.paths import RunFolder


def test_a_python_that_is_not_there_is_a_sentence_that_says_who_named_it(tmp_path, refusal):
    hint = "hint: run `make setup-cpu`, or name a Python in site.yaml under `local.python`"
    place = tmp_path / ".venv-cpu/bin/python"
    assert refusal(local.find_python, tmp_path, None) == (
        f"error: `{place}` does not exist: the CPU environment of the recipes is not made yet\n\n{hint}"
    )
    assert refusal(local.find_python, tmp_path, "/not/there") == (
        f"error: `/not/there` does not exist: site.yaml names it\n\n{hint}"
    )
    assert local.find_python(tmp_path, sys.executable) == Path(sys.executable)


def test_the_project_s_own_environment_is_taken_when_there_is_one(tmp_path):
    (tmp_path / ".venv-cpu/bin").mkdir(parents=True)
    (tmp_path / ".venv-cpu/bin/python").touch()
    assert local.find_python(tmp_path, None) == tmp_path / ".venv-cpu/bin/python"


def test_where_nothing_works_nothing_is_found(tmp_path):
    folder = RunFolder(tmp_path)
    assert Local(tmp_path).find(folder) is None
    folder.lock.write_text("1\n")
    assert Local(tmp_path).find(folder) is None


def test_work_that_does_not_end_in_time_says_so_and_a_holder_that_is_gone_is_no_fault(tmp_path):
    """The lock's holder has died; what it left behind still holds the lock."""
    folder = RunFolder(tmp_path)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with Lock(folder.lock) as held:
        os.ftruncate(held.handle, 0)
        os.pwrite(held.handle, f"{child}\n".encode(), 0)
        work = Local(tmp_path).find(folder)
        assert work.end() is None
        assert not work.stop(0.1)
    assert work.end() == End(None)
    assert work.stop(0)


def test_a_started_node_program_leads_a_session_of_its_own_and_logs_to_the_run(toy, until):
    node = toy.node("sum.fault=hold@3", stages="short")
    work = toy.local.start(read_plan(node.folder), node.folder)
    toy.processes.append(work.process)
    node.at_step("sum", 3)
    assert os.getsid(work.process.pid) == work.process.pid != os.getsid(0)
    assert toy.local.find(node.folder).end() is None
    assert work.stop(30)
    assert work.end() == End(33)
    assert "error: stage `sum` was interrupted" in node.folder.node_log.read_text()


def test_a_secret_that_site_yaml_names_is_in_the_node_program_s_environment(toy, tmp_path):
    (tmp_path / "token").write_text("by reference\n")
    node = toy.node("sum.fault=hold@3", stages="short")
    plan = replace(read_plan(node.folder), secrets={"A_TOKEN": True})
    local = replace(toy.local, site=SiteFile(secrets={"A_TOKEN": f"file:{tmp_path}/token"}))
    work = local.start(plan, node.folder)
    toy.processes.append(work.process)
    node.at_step("sum", 3)
    assert b"A_TOKEN=by reference" in Path(f"/proc/{work.process.pid}/environ").read_bytes().split(b"\0")


def test_a_signal_s_death_has_the_code_a_shell_would_give(toy):
    node = toy.node("sum.fault=hold@3", stages="short")
    work = toy.local.start(read_plan(node.folder), node.folder)
    toy.processes.append(work.process)
    node.at_step("sum", 3)
    work.process.kill()
    work.process.wait(30)
    assert work.end() == End(128 + 9)
