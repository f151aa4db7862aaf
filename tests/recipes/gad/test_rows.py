"""The rules that a row of chat with the teacher's answer has to keep."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipes.gad.rows import Row, read

USER = {"role": "user", "content": "How are you?"}
ASSISTANT = {"role": "assistant", "content": "Well."}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def rows_of(tmp_path):
    def write_and_read(*values):
        path = tmp_path / "train.jsonl"
        path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
        return list(read(path))

    return write_and_read


def row(content=None, teacher="Fine."):
    return {"content": [USER] if content is None else content, "teacher_response": teacher}


@pytest.mark.parametrize(
    "content", [[USER], [SYSTEM, USER], [USER, ASSISTANT, USER], [SYSTEM, USER, ASSISTANT, USER], [ASSISTANT, USER]]
)
def test_a_chat_in_turn_that_ends_with_the_user_is_a_row(rows_of, content):
    assert rows_of(row(content)) == [Row("line 1", 0, content, "Fine.")]


def test_openai_messages_give_the_same_rows_as_content_and_teacher_response(rows_of):
    answer = {"role": "assistant", "content": "Fine."}
    assert rows_of({"messages": [SYSTEM, USER, answer]}) == rows_of(row([SYSTEM, USER]))


def test_other_columns_and_other_keys_of_a_message_are_left_out(rows_of):
    assert rows_of({**row([{**USER, "name": "x"}]), "id": 7, "category": None}) == rows_of(row())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"content": [USER]}, "line 1: no column `teacher_response`"),
        ({"teacher_response": "Fine."}, "line 1: no column `content`"),
        (row("How are you?"), "line 1, `content`: `How are you?` is not a list of messages"),
        (row([]), "line 1, `content`: is an empty list"),
        (row(["Hi"]), "line 1, `content[0]`: `Hi` has no `role` and `content`"),
        (row([{"role": "user"}]), 'line 1, `content[0]`: `{"role": "user"}` has no `role` and `content`'),
        (
            row([{"role": "bot", "content": "Hi"}]),
            "line 1, `content[0].role`: `bot` is none of `system`, `user`, `assistant`",
        ),
        (row([{**USER, "content": None}]), "line 1, `content[0].content`: `null` is not text"),
        (
            row([{**USER, "content": [{"type": "text"}]}]),
            'line 1, `content[0].content`: `[{"type": "text"}]` is not text',
        ),
        (row([{**USER, "content": ""}]), 'line 1, `content[0].content`: `""` is empty'),
        (row([USER, USER]), "line 1, `content[1].role`: `user` follows `user`"),
        (row([USER, SYSTEM]), "line 1, `content[1].role`: `system` may only come first"),
        (row([USER, ASSISTANT]), "line 1, `content`: ends with `assistant`, not `user`"),
        (row([SYSTEM]), "line 1, `content`: ends with `system`, not `user`"),
        (row(teacher=7), "line 1, `teacher_response`: `7` is not text"),
        (row(teacher=""), 'line 1, `teacher_response`: `""` is empty'),
        (row(teacher=" \n"), 'line 1, `teacher_response`: `" \\n"` is empty'),
        (
            row(teacher="a\ud800"),
            "line 1, `teacher_response`: character 2 is half a surrogate pair, which is not valid text",
        ),
        (row("x" * 99), "line 1, `content`: `" + "x" * 37 + "...` is not a list of messages"),
        ({"messages": [SYSTEM, USER]}, "line 1, `messages`: ends with `user`, not `assistant`"),
        ({"messages": [ASSISTANT]}, "line 1, `messages`: has no `user` message before the answer"),
        ({"messages": [SYSTEM, ASSISTANT]}, "line 1, `messages`: has no `user` message before the answer"),
    ],
)
def test_a_bad_row_is_named_with_its_line_its_column_and_its_value(rows_of, value, sentence):
    assert rows_of(value) == [sentence]


def test_two_shapes_in_one_file_are_refused(rows_of):
    openai = {"messages": [USER, ASSISTANT]}
    assert rows_of(row(), openai)[1] == ("line 2: has `messages`, but the first row has `content`: one shape a file")
    assert rows_of(openai, row())[1] == ("line 2: has `content`, but the first row has `messages`: one shape a file")


def test_parquet_gives_the_same_rows_and_counts_them_from_one(tmp_path, rows_of):
    values = [row(), row([SYSTEM, USER], "Good."), row(teacher=" ")]
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "train.parquet")
    found = list(read(tmp_path / "train.parquet"))
    assert [one.prompt for one in found[:2]] == [one.prompt for one in rows_of(*values)[:2]]
    assert [one.location for one in found[:2]] == ["row 1", "row 2"]
    assert found[2] == 'row 3, `teacher_response`: `" "` is empty'


def test_the_rows_that_ship_with_the_recipe_keep_the_rules(pytestconfig):
    sample = pytestconfig.rootpath / "recipes/gad/sample"
    found = {name: list(read(sample / f"{name}.jsonl")) for name in ("train", "val")}
    assert {name: len(rows) for name, rows in found.items()} == {"train": 96, "val": 16}
    rows = found["train"] + found["val"]
    assert all(isinstance(one, Row) for one in rows)
    assert all(
        5 <= len(one.teacher.split()) <= 25 and 4 <= len(one.prompt[-1]["content"].split()) <= 20 for one in rows
    )
    assert 24 <= sum(len(one.prompt) > 2 for one in rows) <= 32
    assert sum(one.prompt[0]["role"] == "system" for one in rows) >= 3
