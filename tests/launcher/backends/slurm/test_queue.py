"""What the cluster answers, in words."""

import os
import subprocess

import pytest

from launcher.backends.base import End
from launcher.backends.slurm import batch_script
from launcher.backends.slurm.queue import Answer, Job, answer, end, explanation, question, says_dropped, waits_for

NAMES = ("toy.1-sum.abc", "toy.2-again.abc")


def seen(*lines):
    return answer(NAMES, "\n".join(lines))


JOBS = ("job toy.1-sum.abc 12", "job toy.2-again.abc 13")


def test_an_answer_is_read_line_by_line():
    found = seen(*JOBS, "state 12 RUNNING|None|2026-01-01T00:00:00", "state 13 PENDING|Dependency|N/A", "manifest")
    assert found == Answer(
        (
            Job(NAMES[0], "12", "RUNNING", "None", "2026-01-01T00:00:00"),
            Job(NAMES[1], "13", "PENDING", "Dependency", "N/A"),
        ),
        finished=True,
    )
    assert end(found) is None and waits_for(found) is None


def test_a_waiting_run_says_why_and_when():
    found = seen(*JOBS, "state 12 PENDING|Priority|2026-01-01T08:00:00", "state 13 PENDING|Dependency|N/A")
    assert waits_for(found) == "job 12 waits: other jobs go first (Priority), expected to start at 2026-01-01T08:00:00"
    assert end(found) is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Resources", "the nodes it needs are busy (Resources)"),
        ("QOSMaxJobsPerUserLimit", "a limit of its QOS is reached (QOSMaxJobsPerUserLimit)"),
        ("AssocGrpGRESMinutes", "a limit of your account is reached (AssocGrpGRESMinutes)"),
        ("ReqNodeNotAvail, Reserved for maintenance", "the nodes it needs are down or reserved (ReqNodeNotAvail)"),
        ("None", "the scheduler has not looked at it yet"),
        ("SomethingNew", "SomethingNew"),
        ("", "the scheduler has not looked at it yet"),
    ],
)
def test_a_reason_is_said_in_words(reason, words):
    assert explanation(reason) == words


def test_a_run_is_done_when_all_its_jobs_are_and_a_lost_word_of_a_completed_one_does_no_harm():
    assert end(seen(*JOBS, "end toy.1-sum.abc 0", "end toy.2-again.abc 0")) == End(0)
    assert end(seen(*JOBS, "state 12 COMPLETED|None|x", "state 13 COMPLETED|None|x")) == End(0)


def test_a_failure_names_what_never_started():
    found = seen(*JOBS, "end toy.1-sum.abc 2", "state 13 CANCELLED|Dependency|N/A")
    assert end(found) == End(2)
    assert says_dropped(found) == "never started: 13 (again), because job 12 (sum) did not succeed"
    assert says_dropped(seen(*JOBS, "end toy.1-sum.abc 0", "end toy.2-again.abc 3")) is None


CARRIES_ON = "launch again: the run continues"


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        ("CANCELLED by 1001", End(33, "job 12 was cancelled", CARRIES_ON)),
        ("NODE_FAIL", End(33, "job 12 lost its node (NODE_FAIL) and was not requeued", CARRIES_ON)),
        (
            "TIMEOUT",
            End(
                33,
                "job 12 ran into its time limit before it could write a checkpoint",
                "allow more seconds with `slurm.ahead`, then launch again: the run continues",
            ),
        ),
        ("OUT_OF_MEMORY", End(3, "job 12 ran out of memory", "ask for more: `slurm.options: {mem: ...}`")),
        (
            "FAILED",
            End(
                1,
                "job 12 ended as FAILED before its script began",
                "read slurm/toy.1-sum.abc.out in the run folder",
            ),
        ),
    ],
)
def test_a_job_that_ended_without_a_word_is_a_sentence(state, ended):
    assert end(seen(JOBS[0], f"state 12 {state}||")) == ended


def test_a_job_whose_script_was_killed_carries_on():
    killed = "job 12 ended and reported nothing: it was killed, or its disk is full"
    assert end(seen(JOBS[0], "state 12 FAILED||", f"begun {NAMES[0]}")) == End(33, killed, CARRIES_ON)
    assert end(seen(JOBS[0], "state 12 OUT_OF_MEMORY||", f"begun {NAMES[0]}")).code == 3


def test_a_job_that_everybody_forgot_and_one_that_was_never_submitted_are_interruptions():
    assert end(seen(JOBS[0])) == End(33, "the scheduler has forgotten job 12, and it reported nothing", CARRIES_ON)
    assert end(seen()) == End(33, "`toy.1-sum.abc` was not submitted", CARRIES_ON)


def test_a_scheduler_that_does_not_answer_is_waited_for_but_the_run_s_own_word_counts():
    found = seen(*JOBS, "trouble slurm_load_jobs error: Unable to contact slurm controller")
    assert end(found) is None
    assert (
        waits_for(found) == "the scheduler does not answer: slurm_load_jobs error: Unable to contact slurm controller"
    )
    assert end(seen(*JOBS, "trouble x", "end toy.1-sum.abc 3")) == End(3)


def test_the_script_s_own_words_become_sentences():
    assert end(seen(JOBS[0], "end toy.1-sum.abc 3 fruitless")) == End(
        3,
        "job 12 was interrupted three times in a row without a new checkpoint",
        "allow a longer `slurm.time`, or save more often",
    )
    assert end(seen(JOBS[0], "end toy.1-sum.abc 1 module")).error == "job 12: a module of site.yaml could not be loaded"


def test_foreign_lines_are_passed_over():
    assert seen("Welcome to the cluster!", "job other 9", "state 99 RUNNING", "", "end") == seen()


def test_a_run_goes_on_while_a_job_may_be_active_or_is_still_to_be_submitted():
    assert seen(*JOBS, "state 12 RUNNING||", "state 13 PENDING||").goes_on
    assert seen(JOBS[0], "end toy.1-sum.abc 0").goes_on  # the second was never submitted
    assert seen(*JOBS, "trouble no controller").goes_on
    assert not seen(*JOBS, "trouble no controller", "end toy.1-sum.abc 0", "end toy.2-again.abc 0").goes_on
    assert not seen(JOBS[0], "end toy.1-sum.abc 3").goes_on
    assert not seen(*JOBS, "end toy.1-sum.abc 0", "end toy.2-again.abc 0").goes_on
    assert not seen().goes_on


def test_the_question_finds_what_the_job_s_script_wrote(tmp_path):
    """Without Slurm's programs: what the run folder alone says."""
    (tmp_path / "slurm").mkdir()
    for name, content in {
        f"{NAMES[0]}.job": "12\n",
        f"{NAMES[0]}.begun": "",
        f"{NAMES[1]}.end": "3 it failed\n",
    }.items():
        (tmp_path / "slurm" / name).write_text(content)
    assert 'touch "$job.begun"' in batch_script.START
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("squeue", "sacct"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", question(NAMES), "ask", tmp_path],
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"job {NAMES[0]} 12", f"begun {NAMES[0]}", f"end {NAMES[1]} 3 it failed"]
