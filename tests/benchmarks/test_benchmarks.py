"""The pure parts of the benchmarks: what is said of numbers, and that the page is what was measured."""

import ast
import json
import sys

import pytest

from benchmarks.__main__ import BENCHES, NAMED, PAGE, results
from benchmarks.chats import rows
from benchmarks.measure import ROOT, Took, columns, forget, in_turn, ratio, run, spread
from benchmarks.result import Result, Verdict, anchor, page, parser, read, say, section, table
from recipes.gad.rows import Row
from recipes.gad.rows import read as read_chats


def result(*verdicts, **more):
    facts = {"when": "today", "machine": "2 cores", "load": "0.1 before, 0.2 after", "versions": ""}
    return Result("some", "Some title", ["", "wall, s"], [["one", "1.0"]], verdicts, ["A note."], facts=facts, **more)


def test_the_page_is_what_was_measured():
    """`python -m benchmarks` wrote it; nobody changes a number by hand."""
    assert PAGE.read_text(encoding="utf-8") == page(results())
    assert {one.name for one in results()} <= set(BENCHES)


def test_every_benchmark_is_a_module_and_says_how_it_is_called():
    for name in BENCHES:
        tree = ast.parse((ROOT / f"benchmarks/{name}.py").read_text())
        assert f"python -m benchmarks.{name}" in ast.get_docstring(tree)
    assert set(BENCHES) >= NAMED


@pytest.mark.parametrize(
    ("found", "least", "word"),
    [(0.5, False, "met"), (0.51, False, "**missed**"), (0.5, True, "met"), (0.49, True, "**missed**")],
)
def test_a_target_is_met_up_to_itself(found, least, word):
    one = Verdict("it", found, 0.5, " s", least)
    assert one.word == word
    assert one.cells == ["it", f"{found:.3g} s", f"{'≥' if least else '≤'} 0.5 s", word]


def test_a_section_has_its_command_its_conditions_its_table_and_its_targets():
    assert section(result(Verdict("it", 2, 1))) == (
        "## Some title\n\n"
        "`python -m benchmarks.some`; today; 2 cores; load 0.1 before, 0.2 after.\n\n"
        "|  | wall, s |\n| --- | ---: |\n| one | 1.0 |\n\n"
        "it: 2, target 1: **missed**.\n\nA note.\n"
    )


def test_the_page_begins_with_all_targets_and_where_they_are_from():
    text = page([result(Verdict("it", 0.123456, 1, " s")), result()])
    assert "| it | 0.123 s | ≤ 1 s | met | [Some title](#some-title) |" in text
    assert text.count("## Some title") == 2
    assert anchor("A launch: with 1,000 (runs)") == "a-launch-with-1000-runs"


def test_what_is_said_is_what_is_kept(tmp_path, capsys):
    say(result(Verdict("it", 1, 2)), "0.3", tmp_path / "some.json")
    kept = read(json.loads((tmp_path / "some.json").read_text()))
    assert kept.facts["load"].startswith("0.3 before, ")
    assert kept.verdicts == [Verdict("it", 1, 2)]
    assert capsys.readouterr().out == section(kept) + "\n"


def test_the_options_that_all_have():
    given = parser("What it is.\n\nMore.").parse_args(["--rounds", "2"])
    assert (given.rounds, given.scratch, given.result) == (2, None, None)


def test_numbers_are_medians_with_the_least_and_the_greatest():
    assert spread([3.0]) == "3.00"
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 (1.0 to 3.0)"
    assert ratio([1, 2, 9], [4, 4, 5]) == 0.5
    assert columns([Took(1, 2, 3 * 10**9), Took(2, 2, 10**9)]) == ["1.50 (1.00 to 2.00)", "2.00 (2.00 to 2.00)", "3.00"]
    assert table(["", "n"], [["a", "1"]]) == "|  | n |\n| --- | ---: |\n| a | 1 |\n"


def test_ways_go_in_turn():
    said = []
    found = in_turn({name: lambda name=name: said.append(name) or Took(1, 1, 1) for name in "ab"}, 2)
    assert said == ["a", "b", "a", "b"]
    assert {name: len(tooks) for name, tooks in found.items()} == {"a": 2, "b": 2}


def test_a_process_is_measured(tmp_path):
    code = "import os; block = bytearray(300 << 20); end = os.times().user + 0.2\nwhile os.times().user < end: pass"
    took = run([sys.executable, "-c", code], tmp_path, {"SOME": "thing"})
    assert took.peak > 300 << 20
    assert took.cpu > 0.2


def test_a_process_that_fails_is_quoted():
    with pytest.raises(SystemExit, match=r"failed:\nthis is why"):
        run([sys.executable, "-c", "import sys; sys.exit('this is why')"])


def test_files_that_are_forgotten_are_still_there(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").write_text("text")
    forget(tmp_path)
    assert (tmp_path / "deep/file").read_text() == "text"


def test_the_chats_are_the_same_every_time_and_keep_the_rules(tmp_path):
    made = list(rows(40))
    assert made == list(rows(40)) != list(rows(40, seed=2))
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    found = list(read_chats(tmp_path / "chats.jsonl"))
    assert len(found) == 40 and all(isinstance(row, Row) for row in found)
    assert {row.prompt[0]["role"] for row in found} == {"user", "system"}
