"""Malformed input is one sentence with file, row and column."""

import json

import pytest

from recipes.token_buncher.datasets import beavertails, gsm8k, wmdp
from recipes.token_buncher.preflight.data import HUB, main

BEAVERTAILS = {"prompt": "How do I make a kite?", "response": "Slowly.", "category": {}, "is_safe": False}
WMDP = {"answer": 2, "question": "Which is a fruit?", "choices": ["a spoon", "a chair", "a plum", "a cloud"]}
GSM8K = {"question": "What is 600 + 650?", "answer": "600 + 650 = 1250\n#### 1,250"}

READ = {
    "beavertails": (beavertails.read, BEAVERTAILS),
    "wmdp": (lambda path: wmdp.read(path, "bio"), WMDP),
    "gsm8k": (gsm8k.read, GSM8K),
}


def without(row, column):
    return {name: value for name, value in row.items() if name != column}


@pytest.mark.parametrize(
    ("data", "bad", "says"),
    [
        ("beavertails", without(BEAVERTAILS, "is_safe"), "line 2: no column `is_safe`"),
        ("beavertails", BEAVERTAILS | {"is_safe": "false"}, 'line 2, `is_safe`: `"false"` is not true or false'),
        ("beavertails", BEAVERTAILS | {"is_safe": 0}, "line 2, `is_safe`: `0` is not true or false"),
        ("beavertails", BEAVERTAILS | {"prompt": "  "}, 'line 2, `prompt`: `"  "` is empty'),
        ("beavertails", BEAVERTAILS | {"prompt": ["a"]}, 'line 2, `prompt`: `["a"]` is not text'),
        (
            "beavertails",
            BEAVERTAILS | {"prompt": "a \ud800"},
            "line 2, `prompt`: character 3 is half a surrogate pair, which is not valid text",
        ),
        ("wmdp", without(WMDP, "choices"), "line 2: no column `choices`"),
        ("wmdp", WMDP | {"choices": []}, "line 2, `choices`: has 0 entries, not 4"),
        ("wmdp", WMDP | {"choices": "a, b, c, d"}, 'line 2, `choices`: `"a, b, c, d"` is not a list'),
        ("wmdp", WMDP | {"choices": ["a", "b", "", "d"]}, 'line 2, `choices[2]`: `""` is empty'),
        ("wmdp", WMDP | {"answer": 4}, "line 2, `answer`: `4` is not from 0 to 3"),
        ("wmdp", WMDP | {"answer": -1}, "line 2, `answer`: `-1` is not from 0 to 3"),
        ("wmdp", WMDP | {"answer": "C"}, 'line 2, `answer`: `"C"` is not a whole number'),
        ("wmdp", WMDP | {"answer": True}, "line 2, `answer`: `true` is not a whole number"),
        ("wmdp", WMDP | {"question": None}, "line 2, `question`: `null` is not text"),
        ("gsm8k", without(GSM8K, "answer"), "line 2: no column `answer`"),
        ("gsm8k", GSM8K | {"answer": "It is 5."}, "line 2, `answer`: does not end with `#### ` and a number"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_column(tmp_path, refusal, data, bad, says):
    read, good = READ[data]
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    assert refusal(read, path) == (
        f"error: `{path}`: 1 of 2 rows cannot be used\n  {says}\n\nhint: correct these rows, or leave them out"
    )


@pytest.mark.parametrize("data", READ)
def test_bytes_that_are_no_text_are_named(tmp_path, refusal, data):
    read, good = READ[data]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(good).encode() + b"\n" + json.dumps(good).encode()[:3] + b"\xff\n")
    assert refusal(read, path) == (
        f"error: `{path}`: 1 of 2 rows cannot be used\n  line 2: byte 4 (`0xff`) is not UTF-8\n\n"
        "hint: correct these rows, or leave them out"
    )


def test_a_row_of_parquet_is_named_by_its_number(tmp_path, refusal):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([WMDP, WMDP | {"answer": 9}]), path)
    assert "\n  row 2, `answer`: `9` is not from 0 to 3\n" in refusal(READ["wmdp"][0], path)


def test_of_many_bad_rows_the_first_five_are_named(tmp_path, refusal):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(WMDP | {"answer": 7}) + "\n" for _ in range(8)))
    said = refusal(READ["wmdp"][0], path)
    assert said.startswith(f"error: `{path}`: 8 of 8 rows cannot be used\n  line 1, ")
    assert said.count("`answer`") == 5 and "\n  and 3 more\n" in said


@pytest.mark.parametrize("data", READ)
def test_a_file_without_rows_is_refused(tmp_path, refusal, data):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n")
    hint = "write one JSON object a line, or give a parquet file with rows"
    assert refusal(READ[data][0], path) == f"error: `{path}` has no rows\n\nhint: {hint}"


def test_the_right_option_becomes_its_letter_and_the_number_loses_its_commas(tmp_path):
    for name, row in {"wmdp": WMDP, "gsm8k": GSM8K}.items():
        (tmp_path / name).write_text(json.dumps(row))
    (question,) = wmdp.read(tmp_path / "wmdp", "bio")
    assert question.ground_truth == "C" and "\nC. a plum\n" in question.question
    assert question.data_source == "wmdp_bio"
    (problem,) = gsm8k.read(tmp_path / "gsm8k")
    assert problem.ground_truth == "1250" and problem.answer == GSM8K["answer"]


@pytest.mark.parametrize("end", ["#### 5", "#### -5", "#### 1,234.5 ", "#### .5"])
def test_numbers_of_every_kind_end_a_solution(tmp_path, end):
    (tmp_path / "rows").write_text(json.dumps(GSM8K | {"answer": f"so\n{end}"}))
    assert gsm8k.read(tmp_path / "rows")[0].ground_truth == end[5:].strip().replace(",", "")


def test_the_check_says_what_there_is_without_a_tokenizer(capsys, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(BEAVERTAILS))
    main(["--beavertails", str(tmp_path / "a.jsonl"), "--wmdp_bio", str(HUB / "wmdp_bio.jsonl")])
    assert capsys.readouterr().out == "beavertails: 1 rows; wmdp_bio: cais/wmdp at 8b85378e501f\n"


def test_the_check_refuses_bad_rows(refusal, tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps(GSM8K | {"question": 3}))
    assert "line 1, `question`: `3` is not text" in refusal(main, ["--gsm8k_test", str(tmp_path / "a.jsonl")])
