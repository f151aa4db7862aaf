"""`launcher down`: every run is ended through its backend, and every machine in the ledger is terminated."""

import time
from pathlib import Path

import pytest

from launcher.clouds import machines
from launcher.clouds.ledger import ledger
from launcher.commands import machines as commands
from launcher.commands.machines import end
from launcher.errors import LaunchError
from launcher.transfer.store import Store

NOTHING = "there is no rented machine and no job: nothing to terminate\n"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """The ledger of a user whose provider terminates what it is told to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    book = ledger()
    monkeypatch.setattr(machines, "down", lambda book, run, why: [book.close(one, why) for one in book.alive(run)])
    return book


@pytest.fixture
def said(capsys):
    return lambda: capsys.readouterr().out


def test_a_run_on_this_machine_has_nothing_to_terminate(toy, book, said):
    toy.finish()
    end("toy-tiny", False, Store(toy.site))
    assert said() == "run toy-tiny has no rented machine and no job: nothing to terminate\n"
    end(None, True, Store(toy.site))
    assert said() == NOTHING


def test_a_machine_that_was_launched_from_another_folder_is_terminated_with_all_others(toy, book, said):
    book.begin("elsewhere", "runpod", Path("/another/folder"), time.time())
    end(None, True, Store(toy.site))
    assert said() == "elsewhere: terminated\n"
    assert book.alive() == [] and book.entries()[0].end == "ended by hand"
    end(None, True, Store(toy.site))
    assert said() == NOTHING


def test_a_run_that_went_on_elsewhere_leaves_no_machine_behind(toy, book, said):
    """Its plan names this machine now; an earlier launch rented one."""
    toy.finish()
    book.begin("toy-tiny", "runpod", toy.folder().path, time.time())
    end("toy-tiny", False, Store(toy.site))
    assert said() == "toy-tiny: terminated\n" and book.alive() == []


def test_a_run_whose_plan_is_damaged_costs_nothing_more_and_hides_no_other(toy, book, said):
    toy.finish()
    toy.folder().plan.write_text("{")
    for run in ("elsewhere", "toy-tiny"):
        book.begin(run, "runpod", toy.folder(run).path, time.time())
    with pytest.raises(LaunchError, match=r"plan\.json"):
        end(None, True, Store(toy.site))
    assert sorted(said().splitlines()) == ["elsewhere: terminated", "toy-tiny: terminated"] and book.alive() == []


def test_a_cluster_that_does_not_answer_hides_no_machine_that_costs_money(toy, book, said, monkeypatch):
    """The run went on elsewhere, and its backend cannot be reached."""
    toy.finish()
    book.begin("toy-tiny", "runpod", toy.folder().path, time.time())

    class Unreachable:
        def down(self, folder, why):
            raise LaunchError("the login node does not answer", "check the connection")

    monkeypatch.setattr(commands, "backend_of_run", lambda folder, site: Unreachable())
    with pytest.raises(LaunchError, match="does not answer"):
        end("toy-tiny", False, Store(toy.site))
    assert said() == "toy-tiny: terminated\n" and book.alive() == []
