"""What a pipe is told of a run while it lasts."""

from dataclasses import replace

import pytest

from launcher.clouds.ledger import ledger
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Plan, Stage
from launcher.runfolder.status import status
from launcher.ui import live
from launcher.ui.live import Live

PLAN = Plan("run", "some-tiny", (Stage("train", ("a",), steps=9),), "train", Code("t"))
BEGUN = [
    {"time": 0, "event": "run.started"},
    {"time": 0, "event": "stage.started", "stage": "train", "attempt": 1},
]


def step(time, number):
    return {"time": time, "event": "stage.progress", "stage": "train", "step": number, "metrics": {"loss": 1 / number}}


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """The lines that `live` says at a moment about these events."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_json(tmp_path / "limits.json", {"format": 1, "stall_seconds": 3600})
    one = Live(PLAN, RunFolder(tmp_path))

    def lines(events, now):
        monkeypatch.setattr(live.time, "time", lambda: now)
        one.show(status(PLAN, events, True))
        return capsys.readouterr().out.splitlines()

    lines.live = one
    return lines


def test_each_step_is_a_line_once(said):
    assert said(BEGUN, 1) == ["train        running"]
    events = [*BEGUN, step(2, 1)]
    assert said(events, 2) == ["train        running 1/9  loss 1"]
    assert said(events, 3) == []


def test_a_standstill_is_said_once_and_again_after_twice_as_long(said):
    events = [*BEGUN, step(2, 1), step(3, 2)]
    said(events, 3)
    assert said(events, 300) == []
    assert said(events, 363) == ["train        no step for 6m 00s; the run is stopped after 1h 00m"]
    assert said(events, 700) == []
    assert said(events, 733) == ["train        no step for 12m 10s; the run is stopped after 1h 00m"]
    assert said([*events, step(740, 3)], 741) == ["train        running 3/9  loss 0.3333"]
    assert said([*events, step(740, 3)], 5000) == ["train        no step for 1h 11m; the run is stopped after 1h 00m"]


def test_what_a_run_costs_is_looked_up_in_the_ledger(said, tmp_path):
    said(BEGUN, 1)
    assert not said.live.facts.paid
    book = ledger()
    entry = book.begin("run", "runpod", tmp_path, 0.0)
    said(BEGUN, 3600)
    assert (said.live.facts.paid, said.live.facts.spent) == (True, None)
    book.write(replace(entry, price=2.0, cloud="x"))
    said(BEGUN, 7200)
    assert (said.live.facts.cloud, said.live.facts.spent, said.live.facts.price) == ("x", 4.0, 2.0)
