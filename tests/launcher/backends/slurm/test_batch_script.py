"""The scripts that are written from a plan, carried out by bash with stubs for Slurm and Python."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from launcher.backends.slurm.batch_script import allocation_script, script, submission
from launcher.backends.slurm.groups import job_groups
from launcher.config.slurm import SlurmSite
from launcher.runfolder.plan import Budget, Code, Machine, Plan, Stage
from tests.support.patience import patience

JOB = "toy.1-sum.abc"
TEXT = some.text(alphabet=some.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=30)
HOSTILE = some.one_of(
    TEXT, some.sampled_from(["$(touch x)", "`x`", "'; exit 9; '", '"', "-rf", "a\nb", "..", "é ü", "\\"])
)
NAME = HOSTILE.filter(lambda name: name not in ("", ".", "..") and "/" not in name and len(name.encode()) < 200)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


PLAN = Plan("toy", "toy-tiny", (Stage("sum", ("python", "x")),), "sum", Code("0"), Machine("slurm"))


def text(site, hours=None):
    plan = replace(PLAN, budget=Budget(max_hours=hours))
    return script(plan, job_groups(plan, site)[0], site, JOB)


class Run:
    """A run folder in which a script can be carried out by bash, with stubs for Python and Slurm."""

    hours: float | None = None
    """What the plan allows."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.stubs = folder.parent / "stubs"
        for place in (folder / "slurm", folder / "code", self.stubs):
            place.mkdir(parents=True)
        (folder / "plan.json").write_text("{}")
        self.command("scontrol", 'echo "$@" >> "$CALLS"; [ "$1" != show ] || echo "JobState=${STATE:-RUNNING}"')
        self.command("module", 'echo "module $@" >> "$CALLS"')
        self.program("exit 0")

    def command(self, name, body):
        path = self.stubs / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return str(path)

    def program(self, body):
        return self.command("python", f'printf \'%s\\0\' "$PWD" "$@" >> "$ARGV"\n{body}')

    @property
    def env(self):
        calls = {"CALLS": str(self.folder.parent / "calls"), "ARGV": str(self.folder.parent / "argv")}
        return {
            **calls,
            "PATH": f"{self.stubs}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(self.folder),
            "SLURM_JOB_ID": "7",
        }

    def start(self, site=None, **env):
        site = site or SlurmSite(python=str(self.stubs / "python"))
        path = self.folder / f"slurm/{JOB}.sh"
        path.write_text(text(site, self.hours))
        assert subprocess.run(["bash", "-n", str(path)]).returncode == 0
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(["bash", str(path)], env={**self.env, **env}, cwd="/", **pipes)

    def run(self, site=None, **env):
        process = self.start(site, **env)
        out, errors = process.communicate(timeout=patience(20))
        return subprocess.CompletedProcess([], process.returncode, out, errors)

    def said(self, kind):
        path = self.folder / f"slurm/{JOB}.{kind}"
        return path.read_text().strip() if path.exists() else None

    @property
    def calls(self):
        path = self.folder.parent / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def argv(self):
        return (self.folder.parent / "argv").read_bytes().decode().split("\0")[:-1]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


@SLOW
@given(NAME)
def test_whatever_the_run_folder_is_called_the_node_program_gets_it(tmp_path_factory, name):
    run = Run(tmp_path_factory.mktemp("hostile") / name)
    done = run.run()
    assert done.returncode == 0, done.stderr
    place = str(run.folder)
    assert run.argv == [f"{place}/code", "-m", "launcher.node", place, "--code", f"{place}/code", "--stages", "sum"]
    assert run.said("end") == "0" and run.said("job") == "7"
    assert sorted(path.name for path in run.folder.parent.iterdir()) == sorted(["argv", name, "stubs"])
    shutil.rmtree(run.folder.parent)


@SLOW
@given(HOSTILE, HOSTILE.filter(lambda word: word.isprintable()))
def test_hostile_settings_do_not_break_out_of_the_script(tmp_path_factory, value, module):
    run = Run(tmp_path_factory.mktemp("hostile") / "run")
    run.program('printf \'%s\\0\' "$SETTING" > "$CALLS.setting"')
    site = SlurmSite(
        python=str(run.stubs / "python"), environment={"SETTING": value}, modules=(module,), account=module
    )
    done = run.run(site)
    assert done.returncode == 0, done.stderr
    assert Path(run.env["CALLS"] + ".setting").read_bytes() == value.encode() + b"\0"
    assert run.calls == f"module load {module}\n".splitlines()
    shutil.rmtree(run.folder.parent)


@pytest.mark.parametrize("code", [2, 3, 1, 127])
def test_an_end_that_is_no_interruption_is_the_job_s_end(run, code):
    run.program(f"exit {code}")
    assert run.run().returncode == code
    assert run.said("end") == str(code) and run.calls == []


def test_an_interruption_is_requeued_and_leaves_no_end(run):
    run.program("exit 33")
    (run.folder / f"slurm/{JOB}.end").write_text("3\n")
    assert run.run().returncode == 33
    assert run.calls == ["show job 7", "requeue 7"] and run.said("end") is None


def test_a_run_that_was_stopped_or_cancelled_is_not_requeued(run):
    run.program("exit 33")
    assert run.run(STATE="COMPLETING").returncode == 33
    assert run.calls == ["show job 7"] and run.said("end") is None
    (run.folder / f"slurm/{JOB}.stop").touch()
    assert run.run().returncode == 33
    assert run.said("end") == "33" and run.calls == ["show job 7"]


def test_a_cluster_that_forbids_requeueing_ends_the_run_as_interrupted(run):
    run.program("exit 33")
    run.command("scontrol", '[ "$1" = show ] && echo JobState=RUNNING')
    assert run.run().returncode == 33
    assert run.said("end") == "33"


def test_three_attempts_without_anything_saved_are_the_end_and_a_checkpoint_starts_the_count_anew(run):
    run.program("exit 33")
    for _ in range(2):
        assert run.run().returncode == 33 and run.said("end") is None
    checkpoint = '{"time": 1, "event": "stage.checkpoint", "stage": "sum"}'
    run.program(f"echo '{checkpoint}' >> \"$SLURM_SUBMIT_DIR/events.jsonl\"; exit 33")
    assert run.run().returncode == 33 and run.said("tries") == "0"
    run.program("exit 33")
    for _ in range(2):
        assert run.run().returncode == 33 and run.said("end") is None
    assert run.run().returncode == 3
    assert run.said("end") == "3 fruitless"


def test_the_signal_reaches_the_node_program_and_its_own_exit_code_counts(run, until):
    run.program('trap "sleep 0.2; exit 33" TERM; touch "$CALLS.ready"; while :; do sleep 0.02; done')
    process = run.start()
    until(lambda: Path(run.env["CALLS"] + ".ready").exists())
    process.terminate()
    time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=patience(20))
    assert process.returncode == 33
    assert run.calls == ["show job 7", "requeue 7"]


def test_a_run_folder_that_a_node_does_not_see_is_a_sentence(run):
    (run.folder / "plan.json").unlink()
    done = run.run()
    assert done.returncode == 1
    assert "does not see the run folder: it has to lie on storage that all nodes share" in done.stderr


def test_secrets_are_gone_once_no_job_of_the_run_needs_them(run):
    kept = run.folder / "slurm/secrets.sh"
    kept.write_text("export TOKEN='a b'\n")
    run.program('[ "$TOKEN" = "a b" ] && exit 33')
    assert run.run().returncode == 33 and kept.exists()
    run.program('[ "$TOKEN" = "a b" ]')
    assert run.run().returncode == 0 and not kept.exists()


def test_a_module_that_does_not_load_ends_the_job(run):
    run.command("module", "exit 1")
    assert run.run(SlurmSite(modules=("x",))).returncode == 1
    assert run.said("end") == "1 module"


def limits(run):
    return json.loads((run.folder / "limits.json").read_text())


def test_the_hours_of_a_plan_are_counted_while_jobs_run_and_a_spent_budget_is_not_requeued(run):
    run.hours = 0.5
    (run.folder / "slurm/spent").write_text("1000\n")
    before = int(time.time())
    assert run.run().returncode == 0
    found = limits(run)
    assert before + 800 <= found.pop("until") <= time.time() + 800
    assert found == {"format": 1, "reason": "budget", "reserve_seconds": 200, "stall_seconds": 3600}
    (run.folder / "slurm/spent").write_text("1800\n")
    run.program("exit 33")
    assert run.run().returncode == 33
    assert run.said("end") == "33 budget" and run.calls == []


def test_a_plan_without_hours_has_no_end_but_a_stall(run):
    assert run.run(SlurmSite(python=str(run.stubs / "python"), stall_minutes=2)).returncode == 0
    assert limits(run) == {"format": 1, "until": None, "reason": "budget", "reserve_seconds": 360, "stall_seconds": 120}


def test_offline_jobs_are_told_so_and_the_site_s_own_words_go_before(run):
    run.program('echo "$HF_HUB_OFFLINE $WANDB_MODE" > "$CALLS.seen"')
    site = SlurmSite(python=str(run.stubs / "python"), offline=True, environment={"WANDB_MODE": "disabled"})
    assert run.run(site).returncode == 0
    assert Path(run.env["CALLS"] + ".seen").read_text() == "1 disabled\n"


@SLOW
@given(NAME)
def test_in_a_held_allocation_too_the_node_program_gets_the_folder_whatever_it_is_called(tmp_path_factory, name):
    run = Run(tmp_path_factory.mktemp("held") / name)
    kept = run.folder / "slurm/secrets.sh"
    kept.write_text("export TOKEN='a b'\n")
    run.program('[ "$TOKEN" = "a b" ] || exit 5; exit 33')
    (run.folder / "slurm/allocation.sh").write_text(
        allocation_script(PLAN, SlurmSite(python=str(run.stubs / "python")))
    )
    argv = ["bash", str(run.folder / "slurm/allocation.sh")]
    env = {**run.env, "SLURMD_NODENAME": "node1"}
    assert subprocess.run(argv, env=env, cwd="/", capture_output=True).returncode == 33
    place = str(run.folder)
    assert run.argv == [f"{place}/code", "-m", "launcher.node", place, "--code", f"{place}/code"]
    assert (run.folder / "slurm/allocation").read_text() == "7 node1\n" and not kept.exists()
    shutil.rmtree(run.folder.parent)


class Queue(Run):
    """The same with stubs for sbatch and squeue that remember jobs by their names."""

    def submit(self, *jobs, broken=""):
        (self.folder / "slurm/submit.sh").write_text(submission(jobs))
        fails = f'[[ "$*" != *{broken}* ]] || exit 1; ' if broken else ""
        self.command(
            "sbatch",
            'echo "$PWD sbatch $*" >> "$CALLS"; n=$(($(cat "$CALLS.n" 2> /dev/null || echo 40) + 1)); '
            'echo $n > "$CALLS.n"; '
            f'job=${{!#}}; job=${{job#slurm/}}; echo $n > "$CALLS.${{job%.sh}}"; {fails}echo "$n;cluster"',
        )
        self.command(
            "squeue", 'for word; do case $word in --name=*) cat "$CALLS.${word#--name=}" 2> /dev/null;; esac; done'
        )
        return subprocess.run(
            ["bash", str(self.folder / "slurm/submit.sh")], env=self.env, cwd="/", capture_output=True, text=True
        )


@SLOW
@given(NAME)
def test_jobs_are_submitted_in_the_run_folder_each_after_the_one_before(tmp_path_factory, name):
    queue = Queue(tmp_path_factory.mktemp("queue") / name)
    done = queue.submit("a", "b")
    assert (done.returncode, done.stdout) == (0, "a 41\nb 42\n"), done.stderr
    place = queue.folder
    assert (queue.folder.parent / "calls").read_bytes().decode() == (
        f"{place} sbatch --parsable slurm/a.sh\n"
        f"{place} sbatch --parsable --dependency=afterok:41 --kill-on-invalid-dep=yes slurm/b.sh\n"
    )
    shutil.rmtree(place.parent)


def test_a_submission_can_be_run_again_and_finds_the_job_whose_number_was_not_written(tmp_path):
    queue = Queue(tmp_path / "run")
    assert queue.submit("a", "b", broken="b.sh").returncode != 0  # it was submitted, but nobody heard its number
    assert queue.submit("a", "b").stdout == "a 41\nb 42\n"
    assert len(queue.calls) == 2
    assert queue.submit("a", "b").stdout == "a 41\nb 42\n"
    assert len(queue.calls) == 2


def test_a_job_that_is_done_is_no_dependency_for_slurm_may_have_forgotten_it(tmp_path):
    queue = Queue(tmp_path / "run")
    queue.submit("a")
    (queue.folder / "slurm/a.end").write_text("0 \n")
    assert queue.submit("a", "b").stdout == "a 41\nb 42\n"
    assert queue.calls[-1].endswith(" sbatch --parsable slurm/b.sh")
