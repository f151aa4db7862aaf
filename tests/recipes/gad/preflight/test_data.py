"""The check that a laptop runs before anything is paid."""

import json
import subprocess
import sys

import pytest

from recipes.common.stage.command import Mistake
from recipes.gad.preflight.data import main, survey


def write(path, *rows):
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def row(question="How are you?", teacher="Fine."):
    return {"content": [{"role": "user", "content": question}], "teacher_response": teacher}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(pytestconfig, *argv):
    command = [sys.executable, "-m", "recipes.gad.preflight.data", *map(str, argv)]
    return subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True)


def test_rows_and_duplicates_are_counted(here):
    found = survey(write(here / "train.jsonl", row(), row("Why?"), row(), row(teacher="Good."), row()))
    assert (found.rows, found.duplicates, len(found.prompts)) == (5, {2, 4}, 2)


def test_the_first_five_bad_rows_are_listed_and_all_are_counted(here):
    path = write(here / "train.jsonl", row(), b"\xff{}", *[b"{"] * 6, b"[1]")
    with pytest.raises(Mistake) as caught:
        survey(path.relative_to(here))
    assert caught.value.error == (
        "`train.jsonl`: 8 of 9 rows cannot be used\n"
        "  line 2: byte 1 (`0xff`) is not UTF-8\n"
        "  line 3: is not JSON (Expecting property name enclosed in double quotes at character 3)\n"
        "  line 4: is not JSON (Expecting property name enclosed in double quotes at character 3)\n"
        "  line 5: is not JSON (Expecting property name enclosed in double quotes at character 3)\n"
        "  line 6: is not JSON (Expecting property name enclosed in double quotes at character 3)\n"
        "  and 3 more"
    )
    assert caught.value.hint == "correct these rows, or leave them out; `content` is a list of {role, content}"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_refused(here, text):
    (here / "train.jsonl").write_text(text)
    with pytest.raises(Mistake) as caught:
        survey((here / "train.jsonl").relative_to(here))
    assert caught.value.error == "`train.jsonl` has no rows"
    assert caught.value.hint == "write one JSON object a line, or give a parquet file with rows"


def test_one_line_tells_rows_duplicates_and_shared_prompts(here, capsys):
    write(here / "train.jsonl", row(), row(), row("Why?"))
    write(here / "val.jsonl", row(teacher="Good."))
    main(["--train", "train.jsonl"])
    main(["--train", "train.jsonl", "--val", "val.jsonl"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == "train: 3 rows (duplicates: 1)"
    assert second == "train: 3 rows (duplicates: 1); val: 1 rows (duplicates: 0); prompts in both: 1"


def test_the_command_exits_2_with_the_sentence(pytestconfig, here):
    done = run(pytestconfig, "--train", here / "absent.jsonl")
    assert done.returncode == 2
    assert done.stderr == f"error: no file `{here}/absent.jsonl`\n\nhint: name one JSONL or parquet file\n"


def test_the_command_imports_neither_transformers_nor_torch(pytestconfig):
    program = (
        "import sys; from recipes.gad.preflight import data;"
        "data.main(['--train', 'recipes/gad/sample/train.jsonl', '--val', 'recipes/gad/sample/val.jsonl']);"
        "print(sorted({'transformers', 'tokenizers', 'torch', 'numpy', 'jinja2', 'pyarrow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True)
    assert done.stdout == "train: 96 rows (duplicates: 0); val: 16 rows (duplicates: 0); prompts in both: 0\n[]\n"
