import pytest

from launcher.report.evaluations import tables, value_text


def rows(table):
    """The cells of a table with its head, or the names and values of pairs."""
    return [list(row) for row in ((table.head, *table.rows) if table.head else table.rows)]


def test_columns_with_the_same_rows_stand_side_by_side_and_the_base_first():
    value = {
        "after": {"gsm8k": {"value": 0.75, "low": 0.7, "high": 0.8, "of": 1319}, "new": 1},
        "before": {"gsm8k": {"value": 0.5, "low": 0.45, "high": 0.55, "of": 1319}},
    }
    (found,) = tables(value)
    assert rows(found) == [
        ["", "before", "after"],
        ["gsm8k", "0.5 (0.45 to 0.55) of 1,319", "0.75 (0.7 to 0.8) of 1,319"],
        ["new", "", "1"],
    ]


def test_several_numbers_of_a_row_are_a_row_each_and_not_one_long_line():
    one = {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75}, "unparsed": 3}
    (found,) = tables({"before": {"all": one}, "after": {"all": {**one, "unparsed": 0}}})
    assert rows(found) == [
        ["", "before", "after"],
        ["all accuracy", "0.5 (0.25 to 0.75)", "0.5 (0.25 to 0.75)"],
        ["all unparsed", "3", "0"],
    ]


def test_a_list_of_rows_is_a_table_with_all_their_columns():
    (found,) = tables([{"task": "a", "acc": 0.5}, {"task": "b", "n": 3}])
    assert rows(found) == [["task", "acc", "n"], ["a", "0.5", ""], ["b", "", "3"]]


def test_plain_values_stand_beside_tables():
    plain, inner = tables({"model": "x", "ok": True, "tasks": {"a": {"acc": 0.25, "stderr": 0.01}}})
    assert rows(plain) == [["model", "x"], ["ok", "true"]]
    assert rows(inner) == [["", "tasks"], ["a", "0.25 ± 0.01"]]


def test_what_is_of_another_form_is_shown_all_the_same():
    assert [rows(one) for one in tables({"lists": [[1, 2], [3]], "deep": {"a": {"b": {"c": {"d": 1}}}}})]
    assert tables({}) == tables(None) == tables([]) == []
    assert rows(tables(5)[0]) == [["value", "5"]]


def test_a_table_of_ten_thousand_answers_is_cut():
    (found,) = tables([{"answer": str(one)} for one in range(10_000)])
    assert len(found.rows) == 400


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, ""),
        (True, "true"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        ([1, "a"], "1, a"),
        ({"mean": 0.5, "std": 0.1}, "0.5 ± 0.1"),
        ({"value": 0, "low": 2.8e-17, "high": 0.25, "of": 9}, "0 (0 to 0.25) of 9"),
        ({"a": 1}, "a=1"),
    ],
)
def test_a_value_is_one_line(value, says):
    assert value_text(value) == says
