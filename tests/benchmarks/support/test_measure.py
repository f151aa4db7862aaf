"""A process is measured whole, and measurements alternate."""

import sys

import pytest

from benchmarks.support.measure import Usage, alternate, columns, drop_cache, ratio, run, spread


def test_numbers_are_medians_with_the_least_and_the_greatest():
    assert spread([3.0]) == "3.00"
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 (1.0 to 3.0)"
    assert ratio([1, 2, 9], [4, 4, 5]) == 0.5
    assert columns([Usage(1, 2, 3 * 10**9), Usage(2, 2, 10**9)]) == [
        "1.50 (1.00 to 2.00)",
        "2.00 (2.00 to 2.00)",
        "3.00",
    ]


def test_measurements_alternate():
    calls = []
    usages = alternate({name: lambda name=name: calls.append(name) or Usage(1, 1, 1) for name in "ab"}, 2)
    assert calls == ["a", "b", "a", "b"]
    assert {name: len(rounds) for name, rounds in usages.items()} == {"a": 2, "b": 2}


def test_a_process_is_measured(tmp_path):
    code = "import os; block = bytearray(300 << 20); end = os.times().user + 0.2\nwhile os.times().user < end: pass"
    usage = run([sys.executable, "-c", code], tmp_path, {"SOME": "thing"})
    assert usage.peak > 300 << 20
    assert usage.cpu > 0.2


def test_a_process_that_fails_is_quoted():
    with pytest.raises(SystemExit, match=r"failed:\nthis is why"):
        run([sys.executable, "-c", "import sys; sys.exit('this is why')"])


def test_files_that_leave_the_cache_stay_on_disk(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/file").write_text("text")
    drop_cache(tmp_path)
    assert (tmp_path / "deep/file").read_text() == "text"
