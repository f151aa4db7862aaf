"""A result becomes a section of the page, and is the same after it was written as JSON."""

import json

import pytest

from benchmarks.support.result import Result, Verdict, anchor, page, parser, read, report, section, table


def result(*verdicts, **more):
    facts = {"when": "today", "machine": "2 cores", "load": "0.1 before, 0.2 after", "versions": ""}
    return Result("some", "Some title", ["", "wall, s"], [["one", "1.0"]], verdicts, ["A note."], facts=facts, **more)


@pytest.mark.parametrize(
    ("value", "least", "outcome"),
    [(0.5, False, "met"), (0.51, False, "**missed**"), (0.5, True, "met"), (0.49, True, "**missed**")],
)
def test_a_target_is_met_up_to_itself(value, least, outcome):
    verdict = Verdict("it", value, 0.5, " s", least)
    assert verdict.outcome == outcome
    assert verdict.cells == ["it", f"{value:.3g} s", f"{'≥' if least else '≤'} 0.5 s", outcome]


def test_a_section_has_its_command_its_conditions_its_table_and_its_targets():
    assert section(result(Verdict("it", 2, 1))) == (
        "## Some title\n\n"
        "`python -m benchmarks.bench_some`; today; 2 cores; load 0.1 before, 0.2 after.\n\n"
        "|  | wall, s |\n| --- | ---: |\n| one | 1.0 |\n\n"
        "it: 2, target 1: **missed**.\n\nA note.\n"
    )


def test_the_page_begins_with_all_targets_and_where_they_are_from():
    text = page([result(Verdict("it", 0.123456, 1, " s")), result()])
    assert "| it | 0.123 s | ≤ 1 s | met | [Some title](#some-title) |" in text
    assert text.count("## Some title") == 2
    assert anchor("A launch: with 1,000 (runs)") == "a-launch-with-1000-runs"


def test_what_is_printed_is_what_is_written(tmp_path, capsys):
    report(result(Verdict("it", 1, 2)), "0.3", tmp_path / "some.json")
    written = read(json.loads((tmp_path / "some.json").read_text()))
    assert written.facts["load"].startswith("0.3 before, ")
    assert written.verdicts == [Verdict("it", 1, 2)]
    assert capsys.readouterr().out == section(written) + "\n"


def test_the_options_that_all_have():
    options = parser("What it is.\n\nMore.").parse_args(["--rounds", "2"])
    assert (options.rounds, options.scratch, options.result) == (2, None, None)


def test_a_table_is_markdown():
    assert table(["", "n"], [["a", "1"]]) == "|  | n |\n| --- | ---: |\n| a | 1 |\n"
