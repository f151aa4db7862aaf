"""The lanes have every test, and the runner says what became of them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import __main__ as runner
from tests.lanes import INTEGRATION, LAUNCHES, SUITES, TEST, Lane
from tests.support import patience as clock

ROOT = Path(__file__).parent.parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/test_*.py"))


def has(lane: Lane, file: str) -> bool:
    """Whether the lane's words make pytest collect the file."""
    covers = lambda word: file == word or file.startswith(f"{word}/")  # noqa: E731
    left_out = [word.removeprefix("--ignore=") for word in lane.tests if word.startswith("--ignore=")]
    return any(covers(word) for word in lane.tests) and not any(covers(word) for word in left_out)


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_in_one_lane(file):
    assert len([lane.name for lane in (*TEST, *INTEGRATION) if has(lane, file)]) == 1


def test_every_path_and_test_that_a_lane_names_is_there():
    for lane in (lane for lanes in SUITES.values() for lane in lanes):
        for word in lane.tests:
            path, _, test = re.sub("^--(ignore|deselect)=", "", word).partition("::")
            if path.startswith("tests"):
                assert (ROOT / path).exists(), word
                assert not test or f"def {test}(" in (ROOT / path).read_text(), word


def test_a_launch_of_the_first_suite_is_not_done_again_in_the_second():
    left_out = [word.removeprefix("--deselect=") for lane in INTEGRATION for word in lane.tests if "--deselect" in word]
    assert sorted(left_out) == sorted(LAUNCHES)


TESTS = {
    "good": "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n",
    "bad": "import sys\n\n\ndef test_bad():\n    sys.stderr.write('the program says why')\n    assert 0, 'bad'\n",
    "broken": "import nothing_of_this_name\n",
    "none": "",
}


def run(tmp_path, lanes: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """`python -m tests` with these lanes of files in `tmp_path`, without a Docker engine."""
    for name, text in TESTS.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    code = f"""if True:
        import contextlib, pathlib, sys
        from tests import __main__ as runner
        from tests.lanes import Lane

        folder = pathlib.Path({str(tmp_path)!r})
        file = lambda name: (str(folder / f"test_{{name}}.py"), "--rootdir", str(folder))
        runner.LOGS, runner.SUITES["some"] = folder / "logs", {lanes}
        runner._engine, runner._programs = contextlib.nullcontext, contextlib.nullcontext
        sys.argv = ["tests", "some", *sys.argv[1:]]
        runner.main()
    """
    argv = [sys.executable, "-c", code, *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=clock.patience(120))


def test_the_last_line_counts_the_tests_and_a_failure_is_shown_in_its_own_words(tmp_path):
    done = run(tmp_path, "(Lane('first', 'good', 1, file('good')), Lane('other', 'bad', 1, file('bad')))")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"
    failure = done.stdout[done.stdout.index("FAILED ") :]
    assert "test_bad.py::test_bad" in failure.splitlines()[0]
    assert "AssertionError: bad" in failure and "the program says why" in failure
    assert "the lane's log: " in failure and (tmp_path / "logs/other.log").is_file()


def test_all_passed_is_exit_code_0_and_a_lane_without_a_test_is_no_failure(tmp_path):
    done = run(tmp_path, "(Lane('first', 'good', 1, file('good')), Lane('none', 'none', 1, file('none')))")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed, 0 skipped"), done.stderr


def test_a_file_that_cannot_be_imported_is_a_failure(tmp_path):
    done = run(tmp_path, "(Lane('first', 'broken', 1, file('broken')),)")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "0 passed, 1 failed, 0 skipped")
    assert "nothing_of_this_name" in done.stdout


def test_a_command_that_fails_is_a_failure(tmp_path):
    lane = "Lane('lint', 'commands', 1, commands=(('python', '-c', ''), ('python', '-c', 'raise SystemExit(3)')))"
    done = run(tmp_path, f"({lane},)")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "1 passed, 1 failed, 0 skipped")


def test_only_and_failed_choose_less(tmp_path):
    lanes = "(Lane('first', 'good', 1, file('good')), Lane('other', 'bad', 1, file('bad')))"
    assert run(tmp_path, lanes, "--only", "first").stdout.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"
    run(tmp_path, lanes)
    again = run(tmp_path, lanes, "--failed")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (1, "0 passed, 1 failed, 0 skipped")
    (tmp_path / "logs/first.ended").unlink()  # as of a lane that was killed: it is run whole
    again = run(tmp_path, lanes, "--failed")
    assert (again.returncode, again.stdout.splitlines()[-1]) == (1, "2 passed, 1 failed, 0 skipped")
    unknown = run(tmp_path, lanes, "--only", "frist")
    assert unknown.returncode == 2 and "`frist` is no lane of some: first, other" in unknown.stderr


def test_a_busy_machine_has_more_patience_and_an_idle_one_what_it_was_given(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(clock, "slowness", lambda: 3.0)
    assert clock.patience(2) == 6
    deadline = clock.Deadline(10)
    now[0] += 15
    assert not deadline.over
    monkeypatch.setattr(clock, "slowness", lambda: 1.0)
    assert deadline.over and str(deadline) == "15 s"


def test_how_far_all_is_can_be_told_when_nothing_is_left():
    run = runner.Run(Lane("lint", "types", 3), process=None, began=time.monotonic(), tests=2, seconds=4.0)
    run.counts["passed"] = 2
    assert runner._standing([run], [], 2.0).endswith("lint ok; about 0 min left")
    waiting = runner._standing([run], [Lane("other", "more", 90, cores=1.0)], 2.0)
    assert waiting.endswith("lint ok, other waits; about 2 min left")


def test_what_is_awaited_is_returned_and_what_never_happens_is_named():
    assert clock.until(lambda: 7) == 7
    with pytest.raises(AssertionError, match=r"the moment did not happen within \d+ s"):
        clock.until(lambda: False, "the moment", 0.01)
