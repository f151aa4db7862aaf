import json

import pytest

from launcher.node.events import Events, Tail


def test_an_event_is_a_line_with_its_time(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    events.add("run.started", run="é")
    events.add("run.finished")
    first, second = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert first == {"time": first["time"], "event": "run.started", "run": "é"}
    assert second["time"] >= first["time"] > 1_600_000_000


@pytest.mark.parametrize("torn", ['{"time": 1, "eve', "{}", '{"a": "é'])
def test_a_line_torn_by_a_kill_does_not_spoil_the_next(tmp_path, torn):
    path = tmp_path / "events.jsonl"
    path.write_text(f'{{"event": "a"}}\n{torn}')
    Events(path).add("b")
    assert [one.get("event") for one in Tail(path).new()][-1] == "b"
    assert Tail(path).new()[0] == {"event": "a"}


def test_a_tail_gives_each_whole_line_once(tmp_path):
    path = tmp_path / "progress.jsonl"
    tail = Tail(path)
    assert tail.new() == []
    path.write_text('{"step": 1}\n{"step"')
    assert tail.new() == [{"step": 1}]
    assert tail.new() == []
    with open(path, "a") as file:
        file.write(': 2}\n{"step": 3}\n')
    assert tail.new() == [{"step": 2}, {"step": 3}]


def test_a_tail_may_begin_where_an_earlier_attempt_ended(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 1}\n{"torn')
    tail = Tail(path, path.stat().st_size)
    with open(path, "a") as file:
        file.write('{"step": 2}\n')
    assert tail.new() == [{"step": 2}]


def test_what_is_no_object_is_passed_over(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'3\n[1]\n\xff\xfe\n\nnull\n{"step": 1}\n')
    assert Tail(path).new() == [{"step": 1}]
