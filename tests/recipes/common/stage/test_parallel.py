"""A function in several processes: in order, in bounded memory, and with its errors."""

import os
import select
import signal
import subprocess
import sys

import pytest

from recipes.common.stage.command import FAILED, MISTAKE, Mistake, StageError
from recipes.common.stage.parallel import AHEAD, process_map


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_results_come_in_order_from_other_processes(processes):
    added = 7  # what the function holds is not pickled
    with process_map(lambda thing: (thing + added, os.getpid()), processes) as each:
        found = [*each(range(50)), *each(range(5))]
    assert [number for number, _ in found] == [*range(7, 57), *range(7, 12)]
    assert len({process for _, process in found} - {os.getpid()}) <= processes
    assert (os.getpid() in {process for _, process in found}) == (processes == 0)


def test_things_are_taken_when_results_are():
    taken = []
    with process_map(lambda thing: thing, 2) as each:
        results = each(taken.append(number) or number for number in range(100))
        assert next(results) == 0
        assert len(taken) == 2 * AHEAD + 1
        assert [*results] == [*range(1, 100)]


def test_a_sentence_comes_home_whole():
    def refuse(thing):
        raise Mistake("wrong", "mend it") if thing else StageError("failed", "look", 7)

    for thing, kind, words in ((1, Mistake, ("wrong", "mend it", MISTAKE)), (0, StageError, ("failed", "look", 7))):
        with pytest.raises(kind) as problem, process_map(refuse, 1) as each:
            list(each([thing]))
        assert (problem.value.error, problem.value.hint, problem.value.code) == words
        assert str(problem.value) == words[0]


def test_a_killed_process_is_a_sentence():
    with pytest.raises(StageError) as problem, process_map(lambda _: os.kill(os.getpid(), signal.SIGKILL), 1) as each:
        list(each([1]))
    assert problem.value.error == "a process that prepared rows was killed" and problem.value.code == FAILED


def test_no_process_outlives_the_one_that_made_it(pytestconfig):
    program = (
        "import os, time; from recipes.common.stage.parallel import process_map\n"
        "with process_map(lambda _: os.getpid(), 1) as each: print(*each([0]), flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=pytestconfig.rootpath, stdout=subprocess.PIPE, text=True
    ) as process:
        other = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    ended, _, _ = select.select([other], [], [], 30)
    os.close(other)
    assert ended
