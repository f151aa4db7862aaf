"""sbatch on a real Slurm of two nodes, behind ssh, with the toy recipe; an ordinary user's jobs."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.backends.slurm.image_file import address
from launcher.config.site import SiteFile
from launcher.config.yaml import check, parse
from launcher.images.identity import PROGRAM, identity, image_of
from tests.support.patience import patience
from tests.support.slurm.there import HELD, SLURM, at_step, hurry, there

__all__ = ["at_step", "hurry", "there"]
ROOT = Path(__file__).parent.parent.parent.parent.parent
TWO_JOBS = {"stages": {"again": {"partition": "gpu", "gres": "gpu:1"}}}


def test_a_launch_brings_a_verified_result_home_and_a_finished_run_asks_the_cluster_nothing(there):
    done = there.launch()
    assert done.returncode == 0, done.stdout + done.stderr
    assert there.total() == there.toy.total
    assert set(there.jobs().values()) <= {"COMPLETED", "COMPLETING"}
    owners = {path.stat().st_uid for path in there.folder.path.rglob("*")}
    assert owners == {there.cluster.home.stat().st_uid} != {0}
    again = there.launch()
    assert (again.returncode, again.stdout) == (
        0,
        f"run toy-tiny is finished: nothing to do. Its model is in {there.toy.home().export}\n",
    )


def test_stages_that_ask_for_other_things_are_jobs_that_wait_for_each_other(there, at_step):
    there.site(**TWO_JOBS)
    process = there.start(*HELD)
    at_step("sum", 3)
    states = there.jobs()
    assert sorted(states.values()) == ["PENDING", "RUNNING"]
    waiting = next(job for job, state in states.items() if state == "PENDING")
    facts = there.cluster.said("scontrol", "show", "job", waiting)
    assert "Partition=gpu" in facts and "Reason=Dependency" in facts and "TresPerNode=gres:gpu:1" in facts
    there.go("sum")
    there.end(process)
    assert there.total() == there.toy.total


def test_when_the_first_job_fails_the_second_never_starts_and_says_so(there):
    there.site(**TWO_JOBS)
    done = there.launch("--set", "sum.fault=exit@3")
    assert (done.returncode, done.stderr) == (
        2,
        "error: stage `sum`: the fault was asked for\n\nhint: do not ask for it\n",
    )
    first, second = sorted(there.jobs(), key=int)
    assert f"never started: {second} (again), because job {first} (sum) did not succeed\n" in done.stdout
    assert there.jobs()[second] == "CANCELLED" and not there.folder.stage("again").path.exists()


@pytest.mark.parametrize("whom", ["--batch", "--full"])
def test_a_signal_is_a_checkpoint_and_a_requeue(there, at_step, hurry, whom):
    process = there.start(*HELD)
    at_step("sum", 3)
    [job] = there.jobs()
    there.cluster.said("scancel", "--signal=TERM", whom, job)
    hurry()
    there.go("sum")
    there.end(process)
    assert list(there.jobs()) == [job]
    assert there.attempts() == {"again": 1, "sum": 2}
    assert "from step 3\n" in there.folder.stage("sum").log.read_text()
    assert there.total() == there.toy.total


def test_a_requeue_by_hand_loses_nothing(there, at_step, hurry):
    there.site(**TWO_JOBS)
    process = there.start("--set", "again.fault=hold@3")
    at_step("again", 3)
    running = next(job for job, state in there.jobs().items() if state == "RUNNING")
    there.cluster.said("scontrol", "requeue", running)
    hurry()
    there.go("again")
    there.end(process)
    assert there.attempts() == {"again": 2, "sum": 1}
    assert there.total() == there.toy.total


def test_a_node_that_fails_is_left_for_another(there, at_step, hurry):
    process = there.start(*HELD)
    at_step("sum", 3)
    [job] = there.jobs()
    node = there.cluster.root("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()
    there.cluster.root("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    hurry()
    assert there.cluster.root("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip() not in ("", node)
    there.go("sum")
    there.end(process)
    assert there.attempts() == {"again": 1, "sum": 2}
    assert there.total() == there.toy.total


def test_a_controller_that_restarts_is_waited_for(there, at_step):
    process = there.start(*HELD)
    at_step("sum", 3)
    with there.cluster.without_controller():
        status = there.toy.launcher("status")
        assert "toy-tiny  running" in status.stdout, status.stderr
    there.go("sum")
    there.end(process)
    assert there.attempts() == {"again": 1, "sum": 1}
    assert there.total() == there.toy.total


def test_a_run_outlives_its_launcher_and_the_next_launch_joins_it(there, at_step, until):
    there.site(**TWO_JOBS)
    process = there.start(*HELD)
    at_step("sum", 3)
    jobs = there.jobs()
    process.send_signal(signal.SIGKILL)
    process.wait()
    joined = there.start(*HELD)
    assert "toy-tiny  running" in there.toy.launcher("status").stdout
    there.go("sum")
    there.end(joined)
    assert there.jobs().keys() == jobs.keys()
    assert there.attempts() == {"again": 1, "sum": 1}


def test_a_run_that_ended_while_nobody_looked_is_fetched(there, at_step, until):
    process = there.start(*HELD)
    at_step("sum", 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there.go("sum")
    until(lambda: set(there.jobs().values()) == {"COMPLETED"}, "the run's end")
    done = there.launch(*HELD)
    assert done.returncode == 0 and "pulled    2 files" in done.stdout, done.stderr
    assert len(there.jobs()) == 1 and there.total() == there.toy.total


def test_a_time_limit_shorter_than_a_stage_is_only_an_interruption(there, at_step, hurry):
    there.site(time="1", ahead=20)
    process = there.start(*HELD)
    at_step("sum", 3)
    hurry()
    there.go("sum")
    there.end(process)
    assert there.attempts() == {"again": 1, "sum": 2}
    assert "from step 3\n" in there.folder.stage("sum").log.read_text()
    assert there.total() == there.toy.total


@pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="its grace is 10 s: `make faults`")
def test_preemption_is_only_an_interruption(there, at_step, until):
    there.site(partition="scrap")
    process = there.start(*HELD)
    at_step("sum", 3)
    there.cluster.said(
        "sbatch", "--partition=cpu", "--nodes=2", "--exclusive", "--wrap", "sleep 5", "--output=/dev/null"
    )
    until(lambda: set(there.jobs()) & set(there.cluster.requeued()), "a requeued job", 300)
    there.go("sum")

    def over():  # Slurm requeues it once more when it begins again within the grace of its preemption
        for job in there.cluster.requeued():
            there.cluster.hurry(job)
        return process.poll() is not None

    until(over, "the end", 300)
    there.end(process)
    assert there.attempts()["again"] == 1 and there.attempts()["sum"] >= 2
    assert there.total() == there.toy.total


def test_a_cancelled_job_stays_cancelled_and_the_next_launch_carries_on(there, at_step):
    process = there.start(*HELD)
    at_step("sum", 3)
    [job] = there.jobs()
    there.cluster.said("scancel", job)
    there.end(process, 33)
    assert there.jobs() == {job: "CANCELLED"}
    there.go("sum")
    done = there.launch(*HELD)
    assert done.returncode == 0, done.stderr
    assert there.attempts() == {"again": 1, "sum": 2}
    assert there.total() == there.toy.total


@pytest.mark.parametrize("way", ["ctrl-c", "launcher stop"])
def test_stopping_writes_a_checkpoint_and_leaves_no_job(there, at_step, way):
    there.site(**TWO_JOBS)
    process = there.start(*HELD)
    at_step("sum", 3)
    if way == "ctrl-c":
        process.send_signal(signal.SIGINT)
    else:
        assert there.toy.launcher("stop").stdout == "toy-tiny: stopped\n"
    there.end(process, 33)
    assert not set(there.jobs().values()) & {"PENDING", "RUNNING"}
    assert json.loads((there.folder.stage("sum").work / "step_3/saved.json").read_text())[0] == 3
    there.go("sum")
    done = there.launch(*HELD)
    assert done.returncode == 0, done.stderr
    assert there.total() == there.toy.total


def test_a_run_that_waits_says_why_and_can_be_stopped(there, until):
    held = there.cluster.said("sbatch", "--parsable", "--qos=one", "--output=/dev/null", "--wrap", "sleep 300").strip()
    until(lambda: there.cluster.jobs()[held] == "RUNNING")
    there.site(qos="one")
    process = there.start()
    until(lambda: "PENDING" in there.jobs().values())
    until(lambda: "waits: a limit of its QOS is reached" in there.toy.launcher("status").stdout, "the reason")
    assert there.toy.launcher("stop").stdout == "toy-tiny: stopped\n"
    out, _ = there.end(process, 33)
    [job] = there.jobs()
    assert f"job {job} waits: a limit of its QOS is reached (QOSMaxJobsPerUserLimit)" in out
    assert there.jobs() == {job: "CANCELLED"}


def test_what_slurm_refuses_is_said_in_its_words(there):
    there.site(partition="nowhere")
    done = there.launch()
    assert (done.returncode, done.stderr) == (
        2,
        "error: queue: `1-sum`: Invalid partition name specified\n\nhint: correct `slurm:` in site.yaml\n",
    )
    assert not there.folder.path.exists()


def test_a_plan_says_when_its_jobs_could_start(there):
    there.site(**TWO_JOBS)
    done = there.toy.launcher("plan", "toy-tiny", *SLURM)
    assert re.search(
        r"ok       queue: 1-sum: could start at \S+ on node[12]\n         2-again: could start at \S+ on node[12]\n"
        r"         2-again: 11\.0 of the cluster's billing units an hour, 1\.8 in the 10 that it may take\n",
        done.stdout,
    ), done.stdout


WORKSPACES = """\
#!/bin/bash
case ${0##*/} in
    ws_find) [ "$1" != mine ] || echo FOLDER;;
    ws_list) printf 'id: mine\\n   workspace directory  : FOLDER\\n   remaining time : 2 days 3 hours\\n';;
    ws_extend) echo "Info: extending workspace. $*";;
esac
"""


def test_run_folders_go_to_a_workspace_whose_end_is_told(there, tmp_path):
    tools = there.cluster.home / f"tools-{tmp_path.name}"
    tools.mkdir()
    for name in ("ws_find", "ws_list", "ws_extend"):
        (tools / name).write_text(WORKSPACES.replace("FOLDER", str(there.cluster.home / "space")))
        (tools / name).chmod(0o755)
    (there.cluster.home / ".bashrc").write_text(f"PATH={tools}:$PATH\n")
    there.site(work=f"ws:mine/{there.work}")
    done = there.launch()
    assert done.returncode == 0, done.stdout + done.stderr
    says = (
        "warning  workspace: workspace mine: 2 days 3 hours left\n"
        "         hint: `launcher doctor --cloud slurm --extend 60` makes or extends it, for 60 days\n"
    )
    assert says in done.stdout
    assert (there.cluster.home / "space" / there.work / "toy-tiny/manifest.json").exists()
    extended = there.toy.launcher("doctor", "--cloud", "slurm", "--extend", "60")
    assert extended.stdout == f"Info: extending workspace. mine 60\n{says}", extended.stderr
    there.site(work="ws:other")
    done = there.launch("--run", "other")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3,
        "error: site.yaml: `slurm.work`: the cluster has no workspace `other`",
    )


def test_the_doctor_proposes_a_section_that_is_one(there):
    there.site()
    done = there.toy.launcher("doctor", "--cloud", "slurm")
    assert done.returncode == 0, done.stderr
    assert "partition: cpu" in done.stdout and "account: project   # QOS: normal,one\n" in done.stdout
    assert "# partition gpu: 2 nodes, 16 cores, 64000 MB, gpu:h100:2, up to 2-00:00:00\n" in done.stdout
    assert check(parse(done.stdout), SiteFile, "it").slurm.host == "loop"


def test_a_submission_that_was_cut_off_is_completed_without_a_second_job(there, until):
    there.site(**TWO_JOBS)
    process = there.start(*HELD)
    until(lambda: len(there.jobs()) == 2, "two jobs")
    process.send_signal(signal.SIGKILL)
    process.wait()
    jobs = there.jobs().keys()
    for path in (there.folder.path / "slurm").glob("*.job"):
        if "again" in path.name:
            path.unlink()
    process = there.start(*HELD)
    there.go("sum")
    there.end(process)
    assert there.jobs().keys() == jobs


def test_redo_sets_aside_on_the_cluster_too(there):
    assert there.launch().returncode == 0
    done = there.launch("--redo", "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (there.folder.path / "stages/again.1/done.json").exists()
    assert there.attempts() == {"again": 1, "again.1": 1, "sum": 1}
    assert there.total() == there.toy.total


def test_without_a_python_an_environment_of_the_lock_is_made_once(there):
    there.site(python=None, interpreter="/usr/bin/python3")
    done = there.launch()
    assert done.returncode == 0, done.stdout + done.stderr + there.logs()
    [made] = (there.folder.path.parent / ".environments").glob("*/made")
    assert f"making    the environment {there.work}/.environments/{made.parent.name}, once" in done.stdout
    again = there.launch("--run", "other")
    assert again.returncode == 0 and "making" not in again.stdout, again.stdout + again.stderr


def test_stages_that_fetch_are_carried_out_by_the_login_node_and_jobs_are_told_to_ask_nobody(there):
    there.toy.change_recipe("image: toy", "image: toy\nsecrets: {CANARY: true}")
    there.toy.env["CANARY"] = "canary"
    there.site(login=["sum", "elsewhere"], offline=True)
    done = there.launch()
    assert done.returncode == 0, done.stdout + done.stderr + there.logs()
    assert "on the login node: sum\n" in done.stdout and there.total() == there.toy.total
    [script] = (there.folder.path / "slurm").glob("toy-tiny.*.sh")
    text = script.read_text()
    assert "--stages again" in text and "export HF_HUB_OFFLINE=1\n" in text and "export WANDB_MODE=offline\n" in text
    assert there.attempts() == {"again": 1, "sum": 1}


def test_a_stage_that_fails_on_the_login_node_is_a_sentence_and_nothing_is_submitted(there):
    there.site(login=["sum"])
    done = there.launch("--set", "sum.fault=exit@3")
    assert done.stderr == (
        "error: the login node: stage `sum`: the fault was asked for\n\n"
        "hint: `launcher plan` shows what is asked of the cluster\n"
    )
    assert there.jobs() == {}


def test_the_hours_of_a_budget_are_those_of_its_jobs(there, at_step):
    process = there.start(*HELD, "--max-hours", "0.003")
    at_step("sum", 3)
    _, errors = there.end(process, 33)
    assert errors == (
        "error: the budget of this launch is spent: stage `sum` was interrupted\n\nhint: raise `--max-cost` or "
        "`--max-hours` and launch again: the run continues from the last complete checkpoint\n"
    )
    assert set(there.jobs().values()) <= {"FAILED", "COMPLETING"} and len(there.jobs()) == 1
    there.go("sum")
    done = there.launch(*HELD, "--max-hours", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert there.attempts() == {"again": 1, "sum": 2}


def test_redo_of_a_run_that_ended_while_nobody_looked_keeps_what_it_made(there, at_step, until):
    process = there.start(*HELD)
    at_step("sum", 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there.go("sum")
    until(lambda: "toy-tiny  running" not in there.toy.launcher("status").stdout, "the run's end")
    done = there.launch(*HELD, "--redo", "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert there.attempts() == {"again": 1, "again.1": 1, "sum": 1} and there.total() == there.toy.total


def test_secrets_reach_the_stage_and_nothing_that_is_kept(there, at_step):
    value = "canary-'4711'\nEND\n$(touch x)"
    there.toy.change_recipe("image: toy", "image: toy\nsecrets: {CANARY: true}")
    there.toy.env["CANARY"] = value
    process = there.start(*HELD)
    at_step("sum", 3)
    kept = there.folder.path / "slurm/secrets.sh"
    assert kept.stat().st_mode & 0o777 == 0o600
    environments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/environ") if _ours(path, there)]
    assert any(f"CANARY={value}\0".encode() in one for one in environments)
    there.go("sum")
    out, errors = there.end(process)
    assert "4711" not in out + errors and not kept.exists()
    for path in [*there.folder.path.rglob("*"), *(there.toy.root / "runs").rglob("*")]:
        assert not path.is_file() or b"4711" not in path.read_bytes(), path


def _ours(environ, there):
    try:
        return "recipes.toy.count" in (environ.parent / "cmdline").read_text() and os.access(environ, os.R_OK)
    except OSError:
        return False


def test_on_the_login_node_itself_the_run_folder_is_on_the_shared_storage(there, project, tmp_path):
    """The launcher is the user's own process here, with Debian's Python and this environment's packages."""
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    if packages.parent.name != f"python3.{_version('/usr/bin/python3')}":
        pytest.skip("Debian's Python is another version")
    home = there.cluster.home / tmp_path.name
    shutil.copytree(there.toy.root, home / "project")
    for name in ("launcher", "recipes"):
        shutil.copytree(project / name, home / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(packages, home / "packages", symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "sky*"))
    (home / "launcher").mkdir()
    slurm = {"python": "/usr/bin/python3", "every": 1, "time": "10"}
    (home / "launcher/site.yaml").write_text(json.dumps({"slurm": slurm, "store": str(home / "store")}))
    there.cluster.root("chown", "-R", f"{there.cluster.user}:", str(home))
    env = {**there.cluster.env, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": f"{home}/code:{home}/packages"}
    argv = there.cluster.as_user("/usr/bin/python3", "-m", "launcher", "launch", "toy-tiny", *SLURM)
    done = subprocess.run(argv, cwd=home / "project", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int((home / "project/runs/toy-tiny/export/total.txt").read_text()) == there.toy.total
    assert (home / "store/toy-tiny/slurm").is_dir()


def _version(python):
    words = [python, "-c", "import sys; print(sys.version_info.minor)"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


IMAGED = """\
#!/bin/bash
# {name}, as far as a launch uses it: what it starts gets this machine's Python for the image's, and a folder for /opt.
words=() bound=
for word; do
    [ -z "$bound" ] || {{ bound=; continue; }}
    case $word in
        --bind) bound=1;;
        pull) image=$3; echo "$4" > "$image"; exit;;
        --output) echo "$4" > "$3"; exit;;
        /opt/venv/bin/python) words+=(/usr/bin/python3);;
        /opt/launcher) words+=({baked});;
        --container-image=*|*.sif) [ "$(cat "${{word#*=}}")" = {address} ] || exit 9;;&
        --container-*|--no-container-*|*.sif|exec|--nv) ;;
        *) words+=("$word");;
    esac
done
cd {baked} && exec {real} "${{words[@]}}"
"""


@pytest.mark.parametrize("software", ["pyxis", "apptainer"])
def test_in_a_container_the_image_s_own_code_runs_and_the_manifest_names_it(there, software, tmp_path):
    """Neither is among Debian's packages: stand-ins check what they are told."""
    home, root = there.cluster.home / tmp_path.name, there.toy.root
    image = image_of(root, "toy", "toy", "cpu", "registry.test/toys")
    for place, name in [*((ROOT, one) for one in PROGRAM), (root, "recipes")]:
        shutil.copytree(place / name, home / "baked" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "baked/image.json").write_text(json.dumps(identity(image)))
    names = {"pyxis": ("enroot", "srun"), "apptainer": ("apptainer",)}[software]
    real = {"enroot": "false", "srun": "/usr/bin/srun", "apptainer": ""}
    for name in names:
        words = {"baked": home / "baked", "address": shlex.quote(address(image, software)), "real": real[name]}
        (home / name).write_text(IMAGED.format(name=name, **words))
        (home / name).chmod(0o755)
    there.cluster.root("chown", "-R", f"{there.cluster.user}:", str(home))
    (there.cluster.home / ".bashrc").write_text(f"PATH={home}:$PATH\n")  # the login node's; jobs take it along
    there.site(python=None, software=software, registry="registry.test/toys")
    done = there.launch()
    assert done.returncode == 0, done.stdout + done.stderr + there.logs()
    assert f"importing {image.name} to " in done.stdout and there.total() == there.toy.total
    lineage = json.loads(there.folder.manifest.read_text())["lineage"]
    assert (lineage["software"], lineage["image"]["name"]) == (software, image.name)
    assert not (there.folder.path / "code").exists()


def test_down_takes_a_run_out_of_the_queue_and_its_secrets_away(there, at_step):
    there.site(**TWO_JOBS)
    there.toy.change_recipe("image: toy", "image: toy\nsecrets: {CANARY: true}")
    there.toy.env["CANARY"] = "value"
    process = there.start("--set", "again.fault=hold@3")
    at_step("again", 3)
    assert (there.folder.path / "slurm/secrets.sh").exists()
    down = there.toy.launcher("down", "toy-tiny")
    assert (down.returncode, down.stdout) == (0, "toy-tiny: its jobs are cancelled\n"), down.stderr
    process.communicate(timeout=patience(150))
    assert process.returncode == 33
    there.cluster.wait_for_nobody()
    assert not (there.folder.path / "slurm/secrets.sh").exists()
    assert there.toy.launcher("down", "--all").stdout == "there is no rented machine and no job: nothing to terminate\n"


def test_a_secret_does_not_outlive_a_launch_that_fails_on_the_login_node(there):
    there.site(login=["again"])
    there.toy.change_recipe("image: toy", "image: toy\nsecrets: {CANARY: true}")
    there.toy.env["CANARY"] = "value"
    done = there.launch("--set", "again.fault=exit@2")
    assert done.returncode != 0 and "on the login node: again" in done.stdout
    assert (there.folder.path / "slurm").exists() and not (there.folder.path / "slurm/secrets.sh").exists()
