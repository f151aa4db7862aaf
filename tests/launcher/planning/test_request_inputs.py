import hashlib

import pyarrow
import pytest
from pyarrow import parquet

from launcher.planning.request import measure
from launcher.runfolder.plan import Input


@pytest.mark.parametrize(
    ("text", "rows"), [("{}\n{}\n", 2), ("{}\n{}", 2), ("{}", 1), ("\n", 1)], ids=["whole", "no-end", "one", "blank"]
)
def test_rows_of_json_lines_are_its_lines(tmp_path, text, rows):
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    sha = hashlib.sha256(text.encode()).hexdigest()
    assert measure("train", path) == Input(str(path), "train.jsonl", len(text), sha, rows)


def test_rows_of_parquet_are_its_metadata_s(tmp_path):
    path = tmp_path / "mine.parquet"
    parquet.write_table(pyarrow.table({"a": list(range(7))}), path)
    found = measure("val", path)
    assert (found.file, found.rows, found.bytes) == ("val.parquet", 7, path.stat().st_size)


def test_a_file_that_cannot_be_trained_on_is_a_sentence(tmp_path, refusal):
    for name, text, error in (
        ("a.csv", "1", "is neither .parquet nor .jsonl\n\nhint: convert it to one of them"),
        ("none.jsonl", None, "is not a file\n\nhint: check the path"),
        ("empty.jsonl", "", "has no rows\n\nhint: give a file with data"),
        ("cut.parquet", "PAR1 and no end", "is not a parquet file\n\nhint: copy it again: it may be cut off"),
    ):
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        assert refusal(measure, "train", path) == f"error: input `train`: `{path}` {error}"
    assert "is not a file" in refusal(measure, "train", tmp_path / f"{'9' * 5000}.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    assert "is not a file" in refusal(measure, "train", tmp_path / "folder.jsonl")
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], pyarrow.int64())}), tmp_path / "none.parquet")
    assert "has no rows" in refusal(measure, "train", tmp_path / "none.parquet")


def test_a_name_that_is_no_text_is_refused(tmp_path, refusal):
    path = tmp_path / "a\udcff.jsonl"
    assert refusal(measure, "train", path) == (
        f"error: input `train`: the name `{path}` is not UTF-8\n\nhint: rename the file"
    )
