"""Invented chats are the same every time, and gad's data stage reads them."""

import json

from benchmarks.data.chats import rows
from recipes.gad.rows import Row
from recipes.gad.rows import read as read_chats


def test_the_chats_are_the_same_every_time_and_keep_the_rules(tmp_path):
    chats = list(rows(40))
    assert chats == list(rows(40)) != list(rows(40, seed=2))
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats))
    read = list(read_chats(tmp_path / "chats.jsonl"))
    assert len(read) == 40 and all(isinstance(row, Row) for row in read)
    assert {row.prompt[0]["role"] for row in read} == {"user", "system"}
