"""The benchmarks are modules of the same form, and the page is what they measured."""

import ast

from benchmarks.__main__ import BENCHES, NAMED, PAGE, results
from benchmarks.support.measure import ROOT
from benchmarks.support.result import page


def test_the_page_is_what_was_measured():
    """`python -m benchmarks` wrote it; nobody changes a number by hand."""
    assert PAGE.read_text(encoding="utf-8") == page(results())
    assert {result.name for result in results()} <= set(BENCHES)


def test_every_benchmark_is_a_module_and_says_how_it_is_called():
    assert set(BENCHES) == {path.stem.removeprefix("bench_") for path in (ROOT / "benchmarks").glob("bench_*.py")}
    for name in BENCHES:
        tree = ast.parse((ROOT / f"benchmarks/bench_{name}.py").read_text())
        assert f"python -m benchmarks.bench_{name}" in ast.get_docstring(tree)
    assert set(BENCHES) >= NAMED
