"""A journal of rows loses nothing that it said was there, and shows nothing that is half there."""

import json

import pytest

from recipes.common.stage.command import StageError
from recipes.common.stage.journal import FILE, Journal, read_jsonl, write_jsonl

ROWS = [{"index": n, "text": text} for n, text in enumerate(["plain", "Ünïcode 🙂", "two\nlines", "", "\ud800 half"])]


def test_what_was_appended_is_there_when_it_is_opened_again(tmp_path):
    Journal(tmp_path).append(ROWS[:2])
    journal = Journal(tmp_path)
    journal.append(ROWS[2:4])
    assert Journal(tmp_path).rows == journal.rows == ROWS[:4]


def test_a_file_cut_off_at_any_byte_holds_the_whole_lines_before(tmp_path):
    Journal(tmp_path / "whole").append(ROWS[:4])
    content = (tmp_path / "whole" / FILE).read_bytes()
    for length in range(len(content) + 1):
        work = tmp_path / "cut"
        work.mkdir(exist_ok=True)
        (work / FILE).write_bytes(content[:length])
        journal = Journal(work)
        assert journal.rows == ROWS[: content[:length].count(b"\n")]
        journal.append([{"next": True}])
        assert [*read_jsonl(work / FILE)] == [*ROWS[: content[:length].count(b"\n")], {"next": True}]


def test_half_a_surrogate_pair_does_not_stop_the_stage(tmp_path):
    Journal(tmp_path).append(ROWS[4:])
    assert Journal(tmp_path).rows[0]["index"] == 4
    write_jsonl(tmp_path / "copy", ROWS)
    assert len(list(read_jsonl(tmp_path / "copy"))) == 5


def test_on_a_fresh_machine_it_is_the_newest_checkpoint_s(tmp_path):
    journal = Journal(tmp_path)
    names = []
    for row in ROWS[:4]:
        journal.append([row])
        names.append(journal.checkpoint())
    assert names == ["rows-0000001", "rows-0000002", "rows-0000003", "rows-0000004"]
    assert sorted(path.name for path in tmp_path.glob("rows-*")) == names[-2:]
    (tmp_path / FILE).unlink()
    assert Journal(tmp_path).rows == ROWS[:4]


def test_the_same_rows_again_are_the_same_checkpoint(tmp_path):
    journal = Journal(tmp_path)
    journal.append(ROWS[:1])
    assert journal.checkpoint() == journal.checkpoint()


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]) + "\n[1]\n")
    with pytest.raises(StageError) as caught:
        list(read_jsonl(tmp_path / "a.jsonl"))
    assert caught.value.error == f"`{tmp_path / 'a.jsonl'}`: line 2 is damaged"
    assert caught.value.hint == "delete the file; the stage makes a new one"
