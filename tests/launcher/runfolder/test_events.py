import json

import pytest

from launcher.runfolder.events import Events, Tail


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


def test_a_file_that_somebody_removed_and_that_is_written_anew_is_all_new(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail = Tail(path)
    assert len(tail.new()) == 2
    path.unlink()
    assert tail.new() == []
    path.write_text('{"step": 3}\n')
    assert tail.new() == [{"step": 3}]


def test_what_is_no_object_is_passed_over(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'3\n[1]\n\xff\xfe\n\nnull\n{"step": 1}\n')
    assert Tail(path).new() == [{"step": 1}]


ODD = [
    {"event": 3},
    {"event": "stage.started", "stage": ["a"], "attempt": 1},
    {"event": "stage.started", "stage": "a", "attempt": "1"},
    {"event": "stage.started", "stage": "a"},
    {"event": "stage.checkpoint", "stage": "a"},
    {"event": "stage.checkpoint", "stage": "a", "name": "../b"},
    {"event": "stage.checkpoint", "stage": "a", "name": "/b"},
    {"event": "run.warning"},
    {"event": "run.ended"},
    {"event": "run.ended", "code": True},
    {"event": "run.gpus", "name": "a", "total": 1, "used": [], "busy": [1]},
    {"event": "run.gpus", "name": "a", "total": 1, "used": [1], "busy": [1]},
    {"event": "a", "time": "1"},
    {"event": "a", "time": float("inf")},
    {"event": "a", "time": 1e300},
    {"checkpoint": "../../b", "step": 1},
    {"step": 10**30},
    {"step": -1},
    {"metrics": [1]},
    {"words": [1]},
]


@pytest.mark.parametrize("line", ODD, ids=json.dumps)
def test_a_line_whose_fields_are_not_what_they_are_called_is_passed_over(tmp_path, line):
    (tmp_path / "events.jsonl").write_text(json.dumps(line) + '\n{"event": "a"}\n')
    assert Tail(tmp_path / "events.jsonl").new() == [{"event": "a"}]


def test_of_the_metrics_only_numbers_are_heard(tmp_path):
    line = {
        "step": 1,
        "metrics": {"loss": 1.5, "nan": float("nan"), "text": "x", "list": [1], "none": None, "huge": 10**400},
    }
    (tmp_path / "events.jsonl").write_text(json.dumps(line) + "\n")
    (found,) = Tail(tmp_path / "events.jsonl").new()
    assert sorted(found["metrics"]) == ["loss", "nan"] and found["step"] == 1


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a": ' * 100_000, '{"a": "' + "x" * (1 << 20) + '"}'])
def test_a_line_that_is_deeper_or_longer_than_ours_is_passed_over(tmp_path, line):
    (tmp_path / "events.jsonl").write_text(line + '\n{"event": "a"}\n')
    assert Tail(tmp_path / "events.jsonl").new() == [{"event": "a"}]
