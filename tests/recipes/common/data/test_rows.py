"""Reading the rows of a data file."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recipes.common.data.rows import BadRow, count, read, spread
from recipes.common.stage.command import Mistake


@pytest.fixture
def jsonl(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\ufeff" + "".join(json.dumps({"n": number}) + "\n\n" for number in range(5)), encoding="utf-8")
    return path


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": range(700), "text": ["x"] * 700}), path, row_group_size=300)
    return path


def test_blank_lines_and_a_byte_order_mark_are_no_rows(jsonl):
    assert [(one.location, one.position, one.value) for one in read(jsonl)][:2] == [
        ("line 1", 0, {"n": 0}),
        ("line 3", 1, {"n": 1}),
    ]
    assert count(jsonl) == 5


def test_the_last_line_needs_no_newline(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"n": 1}\n{"n": 2}')
    assert [one.value for one in read(tmp_path / "rows.jsonl")] == [{"n": 1}, {"n": 2}]


def test_parquet_rows_come_in_order_over_batches_and_row_groups(parquet):
    rows = list(read(parquet, columns=["n", "absent"]))
    assert [one.value for one in rows] == [{"n": number} for number in range(700)]
    assert [(one.location, one.position) for one in rows[-1:]] == [("row 700", 699)]
    assert count(parquet) == 700


def test_only_picked_rows_are_read(jsonl, parquet):
    assert [one.value["n"] for one in read(jsonl, picks=range(1, 5, 2))] == [1, 3]
    picked = list(read(parquet, columns=["n"], picks=range(100, 700, 250)))
    assert [(one.location, one.value["n"]) for one in picked] == [("row 101", 100), ("row 351", 350), ("row 601", 600)]


@pytest.mark.parametrize(("total", "take", "seed"), [(100, 7, 0), (100, 7, 5), (100, 7, 12345), (8, 7, 3), (9, 3, 2)])
def test_a_spread_is_even_and_inside(total, take, seed):
    picks = spread(total, take, seed)
    assert len(picks) == take
    assert set(picks) <= set(range(total))
    assert picks.step == total // take


def test_a_spread_over_too_few_rows_is_all_of_them():
    assert spread(7, 7, 0) is spread(3, 7, 0) is None


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"a": "\xe9"}', "byte 8 (`0xe9`) is not UTF-8"),
        (b"{'a': 1}", "is not JSON (Expecting property name enclosed in double quotes at character 2)"),
        (b"[1]", "is not a JSON object"),
    ],
)
def test_a_line_that_is_no_row_is_said_so(tmp_path, line, text):
    (tmp_path / "rows.jsonl").write_bytes(b"{}\n" + line + b"\n{}\n")
    first, bad, last = read(tmp_path / "rows.jsonl")
    assert (first.value, last.value) == ({}, {})
    assert isinstance(bad.value, BadRow)
    assert (bad.location, bad.value.column, bad.value.text) == ("line 2", "", text)


def test_a_parquet_text_that_is_not_utf8_spoils_its_row_alone(tmp_path):
    text = pa.array([b"good", b"\xff", b"fine"]).view(pa.string())
    pq.write_table(pa.table({"text": text}), tmp_path / "rows.parquet")
    first, bad, last = read(tmp_path / "rows.parquet")
    assert (first.value, last.value) == ({"text": "good"}, {"text": "fine"})
    assert (bad.location, bad.value.text) == ("row 2", "holds bytes that are not UTF-8")


def test_an_absent_file_is_a_mistake(tmp_path):
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(Mistake) as caught:
            read(path)
        assert (caught.value.error, caught.value.hint) == (f"no file `{path}`", "name one JSONL or parquet file")


def test_a_parquet_name_on_another_file_is_a_mistake(tmp_path):
    (tmp_path / "rows.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(Mistake) as caught:
        read(tmp_path / "rows.parquet")
    assert caught.value.error == f"`{tmp_path}/rows.parquet` is not a parquet file"
    assert caught.value.hint == "fetch it again; a git checkout needs `git lfs pull`"


def test_a_parquet_file_that_is_cut_short_is_a_mistake(parquet):
    parquet.write_bytes(parquet.read_bytes()[:-9])
    with pytest.raises(Mistake) as caught:
        list(read(parquet))
    assert caught.value.error.startswith(f"`{parquet}` is not a whole parquet file: Parquet magic bytes not found")
    assert caught.value.hint == "fetch or write it again"


def test_a_parquet_file_with_a_broken_page_is_a_mistake(parquet):
    body = parquet.read_bytes()
    parquet.write_bytes(body[:4] + bytes(400) + body[404:])
    with pytest.raises(Mistake) as caught:
        list(read(parquet))
    assert caught.value.error.startswith(f"`{parquet}` is not a whole parquet file: ")
    assert caught.value.hint == "fetch or write it again"


def test_rows_in_gzip_are_read_as_they_are_without(jsonl, tmp_path):
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl.read_bytes()))
    assert list(read(packed)) == list(read(jsonl))
    assert count(packed) == count(jsonl) == 5


@pytest.mark.parametrize("cut", [-1, -12, 12])
def test_a_gzip_file_that_is_cut_off_is_a_sentence(jsonl, tmp_path, cut):
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl.read_bytes())[:cut])
    with pytest.raises(Mistake, match="is not a whole gzip file: ") as caught:
        list(read(packed))
    assert caught.value.hint == "fetch it again"


def test_a_time_beyond_every_calendar_is_a_bad_row_and_not_the_end_of_all(tmp_path):
    days = pa.array([0, 2**31 - 1], pa.date32())
    pq.write_table(pa.table({"day": days}), tmp_path / "a.parquet")
    good, bad = read(tmp_path / "a.parquet")
    assert isinstance(good.value, dict) and isinstance(bad.value, BadRow)
    assert bad.value.at(bad.location) == "row 2: holds a time outside every calendar, or in an unknown time zone"


def test_a_time_of_no_known_zone_is_a_bad_row(tmp_path):
    """pytz, where it is installed, says so in a way of its own."""
    pq.write_table(pa.table({"at": pa.array([1], pa.timestamp("us", "no/such"))}), tmp_path / "a.parquet")
    (found,) = read(tmp_path / "a.parquet")
    assert isinstance(found.value, BadRow) and found.value.text.endswith("or in an unknown time zone")


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
def test_a_value_that_python_does_not_take_is_a_bad_row(tmp_path, text):
    (tmp_path / "a.jsonl").write_text(f'{{"a": {text}}}\n')
    (found,) = read(tmp_path / "a.jsonl")
    assert isinstance(found.value, BadRow)
    assert found.value.text == "has a number with thousands of digits, or a thousand levels of nested values"
