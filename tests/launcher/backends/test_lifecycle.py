"""`launcher launch` as a user has it: real commands, real node programs."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from launcher.runfolder.files import read_json, sha256, write_json
from launcher.runfolder.lock import holder
from launcher.runfolder.processes import descendants
from tests.support.patience import patience

HELD = ("--set", "sum.fault=hold@3")
"""The first stage comes to step 3 and waits there."""


def attempts(toy, run="toy-tiny"):
    return {
        path.parent.name: path.read_text()
        for path in sorted((toy.root / "runs/.store" / run).glob("stages/*/attempts"))
    }


def total(folder):
    return int((folder.export / "total.txt").read_text())


def steps(toy, lines_of, stage, run="toy-tiny"):
    return [one["step"] for one in lines_of(toy.folder(run).stage(stage).progress) if "metrics" in one]


@pytest.fixture
def at_step(toy, until, lines_of):
    return lambda stage, step: until(lambda: step in steps(toy, lines_of, stage), f"step {step} of {stage}")


@pytest.fixture
def ended(toy, until):
    return lambda: until(lambda: holder(toy.folder().lock) is None, "the node program's end")


def test_a_launch_brings_a_verified_result_home_and_a_second_one_does_nothing(toy):
    done = toy.launcher("launch", "toy-tiny")
    assert done.returncode == 0, done.stderr
    assert total(toy.home()) == toy.total
    assert "pulled    2 files, " in done.stdout and ", all sha256 match the manifest\n" in done.stdout
    assert (
        f"model     {toy.home().export}\nmanifest  {toy.home().manifest}\nrun       {toy.folder().path}\n"
        in done.stdout
    )
    for name in ("manifest.json", "plan.json", "events.jsonl"):
        assert (toy.home().path / name).read_bytes() == (toy.folder().path / name).read_bytes()
    events = toy.folder().events.read_text()
    again = toy.launcher("launch", "toy-tiny")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"run toy-tiny is finished: nothing to do. Its model is in {toy.home().export}\n"
    assert toy.folder().events.read_text() == events
    verified = toy.launcher("verify")
    assert (verified.returncode, verified.stdout) == (0, f"{toy.home().export}: all files match the manifest\n")


def test_a_run_whose_model_nobody_can_load_is_never_finished(toy):
    """Neither for the next launch nor for `verify`, and both say what the first launch said."""
    assert toy.node().run().returncode == 0
    weights = toy.folder().export / "model.safetensors"
    weights.write_bytes(b"no weights")
    manifest = read_json(toy.folder().manifest)
    manifest["export"][weights.name] = {"bytes": weights.stat().st_size, "sha256": sha256(weights)}
    write_json(toy.folder().manifest, manifest)
    says = (
        f"error: `{toy.home().export / weights.name}` is damaged: its header is longer than the file\n\n"
        "hint: `--redo` the stage that exports it\n"
    )
    for words in (["launch", "toy-tiny"], ["launch", "toy-tiny"], ["pull"], ["verify"]):
        done = toy.launcher(*words)
        assert (done.returncode, done.stderr, "finished" in done.stdout) == (3, says, False), words
    # a version that looked less closely has left the manifest
    shutil.copy(toy.folder().manifest, toy.home().manifest)
    for words in (["launch", "toy-tiny"], ["verify"]):
        assert (done := toy.launcher(*words)).returncode == 3 and done.stderr == says, words


@pytest.mark.parametrize("name", ["pytorch_model.bin", "deep/other.safetensors"])
def test_weights_that_somebody_put_beside_the_export_are_not_the_stage_s_fault(toy, name):
    toy.finish()
    extra = toy.home().export / name
    extra.parent.mkdir(exist_ok=True)
    extra.write_bytes(b"no weights")
    for words in (["launch", "toy-tiny"], ["pull"], ["verify"]):
        done = toy.launcher(*words)
        assert (done.returncode, done.stderr) == (
            3,
            f"error: `{extra}` is not part of the export, and a reader may take it for the weights\n\n"
            "hint: somebody has put it there since: move it to another folder\n",
        ), words


def test_a_changed_setting_stops_with_a_sentence_and_redoes_nothing(toy):
    toy.finish()
    plan, events = toy.folder().plan.read_bytes(), toy.folder().events.read_bytes()
    for change, says in (
        ("batch=4", "stage `sum`: `batch` was `8`, is now `4`; `steps` was `8`, is now `16`"),
        ("again.epochs=4", "stage `again`: `steps` was `16`, is now `32`"),
    ):
        done = toy.launcher("launch", "toy-tiny", "--set", change)
        stage = says.split("`")[1]
        assert (done.returncode, done.stdout, done.stderr) == (
            2,
            "",
            f"error: run `toy-tiny` exists with other settings: {says}\n\n"
            f"hint: `--redo {stage}` runs it and what follows again; `--run NAME` starts another run\n",
        )
    assert (toy.folder().plan.read_bytes(), toy.folder().events.read_bytes()) == (plan, events)
    assert attempts(toy) == {"sum": "1", "again": "1"}


def test_redo_does_a_stage_and_what_follows_again_and_keeps_the_old_result(toy):
    toy.finish()
    first = json.loads(toy.folder().manifest.read_text())
    done = toy.launcher("launch", "toy-tiny", "--set", "again.epochs=4", "--redo", "again")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"renamed the old result to {toy.folder().path / 'stages/again.1'}\n")
    assert total(toy.home()) == 5 * sum(toy.numbers)
    old = toy.folder().path / "stages/again.1/out/total.txt"
    assert int(old.read_text()) == toy.total
    assert json.loads((toy.folder().path / "manifest.1.json").read_text()) == first
    assert (toy.folder().path / "plan.1.json").exists()
    assert attempts(toy)["sum"] == "1"
    proof = json.loads(toy.folder().stage("sum").done.read_text())
    assert proof["attempt"] == 1 and proof["finished"] < json.loads(toy.folder().manifest.read_text())["written"]


def test_a_redo_that_the_checks_refuse_sets_nothing_aside(toy):
    toy.finish()
    toy.change_recipe("image: toy", "image: toy\nsecrets: {NEEDED_TOKEN: true}")
    done = toy.launcher("launch", "toy-tiny", "--redo", "again")
    assert (done.returncode, done.stderr) == (
        2,
        "error: secrets: not set: NEEDED_TOKEN\n\nhint: `export NEEDED_TOKEN=...`\n",
    )
    assert sorted(path.name for path in (toy.folder().path / "stages").iterdir()) == ["again", "sum"]
    assert toy.folder().manifest.exists()


def test_redo_of_the_first_stage_does_all_again(toy):
    toy.finish()
    done = toy.launcher("launch", "toy-tiny", "--redo", "sum", "--set", "sum.start=5")
    assert done.returncode == 0, done.stderr
    assert total(toy.home()) == toy.total + 5
    assert sorted(path.name for path in (toy.folder().path / "stages").iterdir()) == [
        "again",
        "again.1",
        "sum",
        "sum.1",
    ]


def test_redo_of_what_there_is_not_is_a_sentence(toy):
    toy.finish(stages="short")
    done = toy.launcher("launch", "toy-tiny", "--stages", "short", "--redo", "smu")
    assert (done.returncode, done.stderr) == (2, "error: the run has no stage `smu`\n\nhint: did you mean `sum`?\n")


def test_another_run_is_another_folder(toy):
    toy.finish(stages="short")
    done = toy.launcher("launch", "toy-tiny", "--stages", "short", "--run", "other", "--set", "sum.start=1")
    assert done.returncode == 0, done.stderr
    assert (total(toy.home()), total(toy.home("other"))) == (sum(toy.numbers), sum(toy.numbers) + 1)
    listed = toy.launcher("runs").stdout
    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
        ["other", "toy-tiny", "finished"],
        ["toy-tiny", "toy-tiny", "finished"],
    ]


def test_a_longer_list_of_stages_goes_on_from_a_shorter_one_s_result(toy):
    toy.finish(stages="short")
    assert total(toy.home()) == sum(toy.numbers)
    done = toy.launcher("launch", "toy-tiny")
    assert done.returncode == 0, done.stderr
    assert total(toy.home()) == toy.total
    assert attempts(toy) == {"sum": "1", "again": "1"}
    back = toy.launcher("launch", "toy-tiny", "--stages", "short")
    assert back.returncode == 0, back.stderr
    assert total(toy.home()) == sum(toy.numbers)
    assert attempts(toy) == {"sum": "1", "again": "1"}


def test_a_stage_s_failure_is_the_command_s_and_the_same_command_carries_on(toy):
    done = toy.launcher("launch", "toy-tiny", "--set", "again.fault=kill@5")
    log = toy.folder().stage("again").log
    assert (done.returncode, done.stderr) == (
        3,
        "error: stage `again` was killed by signal 9 (9 is often the kernel's: out of memory)\n\n"
        f"hint: `launcher doctor toy-tiny` names the cause; or read {log}; "
        "the same launch command continues the run from the last complete checkpoint\n",
    )
    assert [path.name for path in toy.home().path.iterdir()] == ["report.html"]
    once_more = toy.launcher("launch", "toy-tiny", "--set", "again.fault=exit@8")
    assert (once_more.returncode, once_more.stderr) == (
        2,
        "error: run `toy-tiny` exists with other settings: stage `again`: `fault` was `kill@5`, is now `exit@8`\n\n"
        "hint: `--redo again` runs it and what follows again; `--run NAME` starts another run\n",
    )


def test_the_command_is_killed_the_run_lives_on_and_a_second_launch_joins_it(toy, at_step, alive, until):
    first = toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    node = holder(toy.folder().lock)
    first.kill()
    first.communicate(timeout=patience(90))
    assert alive(node)
    joined = toy.start("launch", "toy-tiny", *HELD)
    until(lambda: "sum          running 3/8" in joined.stdout.readline(), "the second command's first look")
    toy.go("sum")
    _, errors = joined.communicate(timeout=patience(90))
    assert joined.returncode == 0, errors
    assert total(toy.home()) == toy.total
    assert attempts(toy) == {"sum": "1", "again": "1"}


def test_control_c_stops_the_run_and_the_same_command_completes_it(toy, at_step, ended, lines_of):
    first = toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=patience(90))
    assert holder(toy.folder().lock) is None
    assert (first.returncode, errors) == (
        33,
        "error: stage `sum` was interrupted\n\nhint: the same launch command continues the run from the last complete "
        "checkpoint\n",
    )
    toy.go("sum")
    done = toy.launcher("launch", "toy-tiny", *HELD)
    assert done.returncode == 0, done.stderr
    assert total(toy.home()) == toy.total
    assert attempts(toy) == {"sum": "2", "again": "1"}
    assert sorted(steps(toy, lines_of, "sum")) == list(range(1, 9))


def test_control_c_on_a_command_that_joined_stops_the_run_too(toy, at_step, until):
    first = toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    first.kill()
    first.communicate(timeout=patience(90))
    second = toy.start("launch", "toy-tiny", *HELD)
    assert second.stdout.readline()
    until(lambda: "running" in second.stdout.readline(), "the second command's first look")
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=patience(90))
    assert second.returncode == 33
    assert holder(toy.folder().lock) is None


def is_node_program(process):
    """Checks and git are children of a launch as well."""
    try:
        return b"launcher.node" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


AT_ONCE = """
import os, signal, subprocess
start = subprocess.Popen.__init__
def started(self, argv, *words, **options):
    start(self, argv, *words, **options)
    if "launcher.node" in argv:
        os.kill(os.getpid(), signal.SIGINT)
subprocess.Popen.__init__ = started
"""
"""The signal falls between the start of the node program and the moment its starter knows about it."""


@pytest.mark.parametrize("moment", ["at once", "soon"])
def test_control_c_right_after_the_start_leaves_nothing_running(toy, tmp_path, until, moment):
    if moment == "at once":
        (tmp_path / "sitecustomize.py").write_text(AT_ONCE)
        toy.env["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    first = toy.start("launch", "toy-tiny", *HELD)
    if moment == "soon":
        until(lambda: any(map(is_node_program, descendants(first.pid))), "the node program")
        first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=patience(90))
    assert first.returncode == 33
    assert errors.startswith("error: ") and "Traceback" not in errors
    assert holder(toy.folder().lock) is None
    (tmp_path / "sitecustomize.py").unlink(missing_ok=True)
    toy.go("sum")
    assert toy.launcher("launch", "toy-tiny", *HELD).returncode == 0


def test_stop_makes_a_run_checkpoint_and_end(toy, at_step):
    first = toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    stopped = toy.launcher("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "toy-tiny: stopped\n")
    first.communicate(timeout=patience(90))
    assert first.returncode == 33
    assert toy.launcher("stop", "toy-tiny").stdout == "toy-tiny: stopped\n"
    toy.go("sum")
    assert toy.launcher("launch", "toy-tiny", *HELD).returncode == 0
    assert total(toy.home()) == toy.total


def test_a_node_program_that_is_killed_is_told_and_the_same_command_carries_on(toy, at_step):
    first = toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    os.kill(holder(toy.folder().lock), signal.SIGKILL)
    _, errors = first.communicate(timeout=patience(90))
    assert (first.returncode, errors) == (
        33,
        "error: the node program was killed\n\nhint: launch again: the run continues\n",
    )
    assert toy.launcher("status").stdout.startswith("run toy-tiny  lost on local, ")
    toy.go("sum")
    assert toy.launcher("launch", "toy-tiny", *HELD).returncode == 0
    assert total(toy.home()) == toy.total


def test_a_run_that_runs_is_not_changed_under_its_feet(toy, at_step):
    toy.start("launch", "toy-tiny", *HELD)
    at_step("sum", 3)
    plan = toy.folder().plan.read_bytes()
    done = toy.launcher("launch", "toy-tiny", *HELD, "--redo", "sum")
    assert (done.returncode, done.stderr) == (
        2,
        "error: run `toy-tiny` is running\n\nhint: `launcher stop toy-tiny` first\n",
    )
    assert toy.folder().plan.read_bytes() == plan
    assert not (toy.folder().path / "stages/sum.1").exists()


def spoil(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.unlink()  # the name, not the bytes it may share with another
    path.write_bytes(content)


def test_a_byte_flipped_at_home_is_told_and_mended_by_a_pull(toy):
    toy.finish(stages="short")
    path = toy.home().export / "total.txt"
    spoil(path)
    error = (
        f"error: `{path}` was changed: its sha256 is not the manifest's\n\n"
        "hint: `launcher pull toy-tiny` copies the damaged files again\n"
    )
    for command in (["launch", "toy-tiny", "--stages", "short"], ["verify"]):
        done = toy.launcher(*command)
        assert (done.returncode, done.stderr) == (3, error)
    pulled = toy.launcher("pull")
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert toy.launcher("verify").returncode == 0
    assert total(toy.home()) == sum(toy.numbers)


def test_a_byte_flipped_where_the_run_is_kept_is_not_brought_home(toy):
    toy.finish(stages="short")
    spoil(toy.folder().export / "total.txt")
    (toy.home().export / "total.txt").unlink()
    done = toy.launcher("pull")
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: `{toy.folder().export / 'total.txt'}` is not what its run exported: ")
    assert done.stderr.endswith("\n\nhint: `--redo` the stage that makes it\n")
    assert not (toy.home().export / "total.txt").exists()


def test_a_launch_after_a_pull_that_was_cut_off_brings_the_new_result_and_not_the_old(toy):
    """The node program finished a redone run, and the command died before it brought the result home."""
    toy.finish()
    old = toy.home().manifest.read_bytes(), (toy.home().export / "total.txt").read_bytes()
    words = ["launch", "toy-tiny", "--set", "again.epochs=4"]
    assert toy.launcher(*words, "--redo", "again").returncode == 0
    toy.home().manifest.write_bytes(old[0])
    (toy.home().export / "total.txt").write_bytes(old[1])
    assert toy.launcher(*words).returncode == 0
    assert total(toy.home()) == 5 * sum(toy.numbers)


def test_the_manifest_cites_the_plan_that_is_there_even_after_a_new_commit(toy):
    from launcher.runfolder.files import sha256

    toy.finish(stages="short")
    assert json.loads(toy.folder().manifest.read_text())["plan_sha256"] == sha256(toy.folder().plan)
    words = ["launch", "toy-tiny", "--stages", "short", "--max-cost", "3"]
    assert toy.launcher(*words).returncode == 0
    assert json.loads(toy.folder().manifest.read_text())["plan_sha256"] == sha256(toy.folder().plan)


def test_an_input_damaged_in_the_run_folder_is_sent_again(toy):
    toy.launcher("launch", "toy-tiny", "--stages", "short", "--set", "sum.fault=kill@2")
    path = toy.folder().inputs / "train.jsonl"
    path.write_text('{"n": 1}\n')
    done = toy.launcher("launch", "toy-tiny", "--stages", "short", "--set", "sum.fault=kill@2")
    assert "was killed by signal 9" in done.stderr
    assert path.read_bytes() == (toy.root / "recipes/toy/numbers.jsonl").read_bytes()


def test_data_that_changed_is_another_run(toy):
    (toy.root / "mine.jsonl").write_text('{"n": 1}\n' * 16)
    words = ["launch", "toy-tiny", "--stages", "short", "--data", "mine.jsonl"]
    assert toy.launcher(*words).returncode == 0
    assert total(toy.home()) == 16
    (toy.root / "mine.jsonl").write_text('{"n": 2}\n' * 16)
    done = toy.launcher(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: run `toy-tiny` exists with other settings: stage `sum`: input `train` was `")


def test_a_damaged_plan_is_a_sentence(toy):
    toy.finish(stages="short")
    plan = toy.folder().plan
    plan.write_text(plan.read_text().replace('"format": 1', '"format": 9'))
    done = toy.launcher("launch", "toy-tiny", "--stages", "short")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: `{plan}`: this program reads plans of format 1, not `9`\n\n"
        "hint: start another run with `--run NAME`\n",
    )


def test_data_that_is_not_given_is_asked_for_before_anything_runs(toy):
    toy.change_recipe(", default: recipes/toy/numbers.jsonl", "")
    done = toy.launcher("launch", "toy-tiny")
    assert (done.returncode, done.stderr) == (
        2,
        "error: inputs: train is not given, 64 rows are assumed\n\nhint: --data train=FILE\n",
    )
    assert not toy.folder().events.exists()


def test_a_cloud_without_an_account_is_refused_before_anything_is_made(toy):
    (toy.root / "jobs/toy-tiny.yaml").write_text("resources: {accelerators: H100:8}\nrun: x\n")
    done = toy.launcher("launch", "toy-tiny", "--cloud", "runpod")
    assert done.returncode == 2
    assert done.stderr.startswith("error: credentials: `~/.runpod/config.toml` does not exist\n\nhint: ")
    assert not (toy.root.parent / ".local/state").exists()


def test_a_node_program_s_own_fault_is_not_an_old_one_s_sentence(toy):
    """node.log keeps what every launch said; only this one's end may be told."""
    words = ["launch", "toy-tiny", "--stages", "short", "--set", "sum.fault=exit@2"]
    toy.launcher(*words)
    assert "error: stage `sum`: the fault was asked for" in toy.folder().node_log.read_text()
    toy.folder().stage("sum").attempts.unlink()
    toy.folder().stage("sum").attempts.mkdir()
    done = toy.launcher(*words)
    assert (done.returncode, done.stderr) == (
        1,
        "error: the node program ended with code 1\n\n"
        f"hint: `launcher doctor toy-tiny` names the cause; or read {toy.folder().node_log}\n",
    )


def test_a_disk_that_is_full_is_a_sentence(toy, small):
    (toy.root / "runs").symlink_to(small)
    small.fill()
    done = toy.launcher("launch", "toy-tiny")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: `") and done.stderr.endswith(
        ": No space left on device\n\nhint: make room, or change site.yaml\n"
    )
    small.free()
    assert toy.launcher("launch", "toy-tiny").returncode == 0
    assert total(toy.home()) == toy.total
