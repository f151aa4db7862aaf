"""What the node program believes of a stage, and what it does not: real stages, real processes."""

import json
import os
import signal

import pytest

from tests.support.patience import patience


def entries(done):
    """A finished process's error text without the newline at its end."""
    return done.stderr.removesuffix("\n")


def test_stages_run_in_order_and_the_manifest_is_written_last(toy):
    node = toy.node()
    done = node.run()
    assert (done.returncode, done.stdout) == (0, f"toy-tiny: done, {node.folder.manifest}\n"), done.stderr
    assert node.total() == toy.total
    kinds = [(one["event"], one.get("stage")) for one in node.events() if "progress" not in one["event"]]
    assert [kind for kind in kinds if kind[0] != "stage.checkpoint"] == [
        ("run.started", None),
        ("stage.started", "sum"),
        ("stage.finished", "sum"),
        ("stage.started", "again"),
        ("stage.finished", "again"),
        ("run.finished", None),
    ]
    manifest = json.loads(node.folder.manifest.read_text())
    assert sorted(manifest["export"]) == ["metrics.json", "total.txt"]
    assert manifest["stages"]["sum"]["attempt"] == 1
    assert (node.folder.export / "total.txt").read_text() == str(toy.total)
    proof = json.loads(node.folder.stage("sum").done.read_text())
    assert proof["files"] == {name: (node.folder.stage("sum").out / name).stat().st_size for name in proof["files"]}
    assert proof["metrics"]["step"] == 8


def test_a_finished_run_is_left_alone(toy):
    node = toy.node(stages="short")
    assert node.run().returncode == 0
    before = {path: path.stat().st_mtime_ns for path in node.folder.path.rglob("*") if path.name != "node.lock"}
    events = node.events()
    assert node.run().returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert node.events() == events


def test_a_finished_run_is_seen_to_be_finished_in_no_time(toy):
    from launcher.backends.lifecycle import prepare
    from launcher.runfolder.manifest import is_finished

    node = toy.node(stages="short")
    node.run()
    plan = prepare(toy.plan(stages="short"), node.folder, None, toy.local).plan
    usage = os.times()
    assert is_finished(plan, node.folder)
    assert os.times().user - usage.user < 0.1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (
            "nothing",
            "error: stage `sum` ended with exit code 0, but it wrote no file `total.txt`\n\n"
            "hint: read LOG; the stage is not counted as done",
        ),
        (
            "nan",
            "error: stage `sum` ended with exit code 0, but its metric `change` is nan; its metric `change` is nan, "
            "not above 0\n\nhint: read LOG; the stage is not counted as done",
        ),
        (
            "still",
            "error: stage `sum` ended with exit code 0, but its metric `change` is 0, not above 0\n\n"
            "hint: read LOG; the stage is not counted as done",
        ),
        (
            "short",
            "error: stage `sum` ended with exit code 0, but its metric `step` is 7, not equal to 8\n\n"
            "hint: read LOG; the stage is not counted as done",
        ),
        (
            "kill@3",
            "error: stage `sum` was killed by signal 9 (9 is often the kernel's: out of memory)\n\n"
            "hint: read LOG; the same launch command continues the run from the last complete checkpoint",
        ),
    ],
)
def test_a_stage_that_did_not_do_its_work_is_not_done(toy, fault, error):
    node = toy.node(f"sum.fault={fault}", stages="short")
    done = node.run()
    assert done.returncode == 3
    assert entries(done).replace(str(node.folder.stage("sum").log), "LOG") == error
    assert not node.folder.stage("sum").done.exists()
    assert not node.folder.manifest.exists()
    assert [one["event"] for one in node.events()][-2:] == ["stage.failed", "run.ended"]
    assert f"error: {node.events()[-1]['error']}\n\nhint: {node.events()[-1]['hint']}" == entries(done)


def test_the_user_s_mistake_in_a_stage_is_its_own_sentence_and_exit_code(toy):
    node = toy.node("sum.fault=exit@3", stages="short")
    done = node.run()
    assert (done.returncode, entries(done)) == (
        2,
        "error: stage `sum`: the fault was asked for\n\nhint: do not ask for it",
    )
    assert node.steps("sum") == [1, 2, 3]


def test_what_an_earlier_attempt_said_is_not_what_this_one_says(by_hand):
    first = "import sys; sys.stderr.write('error: mine\\n\\nhint: correct it\\n'); sys.exit(2)"
    node = by_hand({"one": first})
    assert entries(node.run()) == "error: stage `one`: mine\n\nhint: correct it"
    (node.code / "one.py").write_text("raise SystemExit(7)")
    assert entries(node.run()) == (
        f"error: stage `one` ended with exit code 7\n\nhint: read {node.folder.stage('one').log}; "
        "the same launch command continues the run from the last complete checkpoint"
    )
    assert node.folder.stage("one").attempts.read_text() == "2"


@pytest.mark.parametrize("code", [1, 2, 255])
def test_an_exit_code_without_a_sentence_is_told_as_it_is(by_hand, code):
    done = by_hand({"one": f"raise SystemExit({code})"}).run()
    assert done.returncode == 3
    assert f"error: stage `one` ended with exit code {code}\n" in done.stderr


def test_a_command_that_cannot_be_started_is_a_sentence(by_hand):
    from launcher.runfolder.plan import Stage

    node = by_hand({"one": Stage("one", ("no-such-program",))})
    done = node.run()
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, "error: stage `one` ended with exit code 127")
    log = node.folder.stage("one").log.read_text()
    assert log == "error: `no-such-program` cannot be started: No such file or directory\n"


def test_a_signal_that_ends_a_stage_is_told(by_hand):
    node = by_hand({"one": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"})
    done = node.run()
    assert (done.returncode, done.stderr.splitlines()[0]) == (3, "error: stage `one` was killed by signal 11")


def test_out_is_empty_and_work_is_kept_when_a_stage_is_started_again(by_hand):
    node = by_hand(
        {
            "one": """
import os, sys
work, out = sys.argv[1:]
print(sorted(os.listdir(work)), sorted(os.listdir(out)), flush=True)
for place in (work, out):
    open(f"{place}/{len(os.listdir(work))}", "w").close()
sys.exit(0 if len(os.listdir(work)) > 1 else 1)
"""
        }
    )
    assert [node.run().returncode for _ in range(2)] == [3, 0]
    assert node.folder.stage("one").log.read_text() == "[] []\n['0'] []\n"


def test_a_stage_finds_its_settings_and_steps_and_what_it_needs(toy):
    node = toy.node("again.start=5")
    assert node.run().returncode == 0
    config = json.loads(node.folder.stage("again").config.read_text())
    assert config == {"batch": 8, "pause": 0.0, "save_every": 2, "start": 5, "fault": None, "steps": 16}


def test_progress_checkpoints_and_warnings_are_events(by_hand):
    node = by_hand(
        {
            "one": """
import json, sys
with open(f"{sys.argv[1]}/progress.jsonl", "a") as file:
    for line in ({"step": 1, "steps": 2, "metrics": {"a": 1}}, {"checkpoint": "c", "step": 1}, {"warning": "w"},
                 {"step": 2, "steps": 2, "metrics": {"a": 2}}, ["foreign"], {"other": 1}):
        file.write(json.dumps(line) + "\\n")
    file.write("torn {")
"""
        }
    )
    assert node.run().returncode == 0
    found = [{key: one[key] for key in one if key not in ("time", "stage")} for one in node.events()[2:-2]]
    assert found == [
        {"event": "stage.checkpoint", "name": "c", "step": 1},
        {"event": "stage.warning", "warning": "w"},
        {"event": "stage.progress", "step": 2, "steps": 2, "metrics": {"a": 2}},
    ]


def test_torn_last_lines_of_an_earlier_attempt_are_passed_over(toy):
    node = toy.node("sum.fault=kill@3", stages="short")
    node.run()
    with open(node.folder.stage("sum").progress, "a") as file:
        file.write('{"time": 1, "step": 99')
    with open(node.folder.events, "a") as file:
        file.write('{"time": 1, "event": "stage.prog')
    without_fault(node)
    assert node.run().returncode == 0
    assert [one["event"] for one in node.events()][-1] == "run.finished"
    assert node.events("stage.progress")[-1]["step"] == 8
    assert node.total("sum") == sum(toy.numbers)


def without_fault(node):
    """The fault is gone, as if the machine that made it was: not the plan, but what the stage reads."""
    path = node.folder.plan
    path.write_text(path.read_text().replace('"fault": "kill@3"', '"fault": null'))


def test_a_torn_proof_is_no_proof(toy):
    node = toy.node()
    node.run()
    proof = node.folder.stage("again").done
    node.folder.manifest.unlink()
    for text in (proof.read_text()[:-9], "", "[]", "\xff"):
        proof.write_bytes(text.encode("latin-1"))
        assert node.run().returncode == 0
        node.folder.manifest.unlink()
        assert json.loads(proof.read_text())["exit_code"] == 0
    assert node.folder.stage("again").attempts.read_text() == "5"
    assert node.folder.stage("sum").attempts.read_text() == "1"
    assert [one["stage"] for one in node.events("stage.skipped")] == ["sum"] * 4


def test_a_done_stage_that_lost_a_file_stops_the_run_with_a_sentence(toy):
    node = toy.node("again.fault=kill@3")
    assert node.run().returncode == 3
    total = node.folder.stage("sum").out / "total.txt"
    size = total.stat().st_size
    again = "hint: `--redo sum` does the stage and all that follows again"
    total.write_text("1")
    done = node.run()
    assert (done.returncode, entries(done)) == (
        3,
        f"error: stage `sum` is done, but `{total}` has 1 bytes (it had {size})\n\n{again}",
    )
    total.unlink()
    done = node.run()
    assert (done.returncode, entries(done)) == (
        3,
        f"error: stage `sum` is done, but `{total}` is gone (it had {size})\n\n{again}",
    )
    assert node.folder.stage("sum").attempts.read_text() == "1"
    assert node.events()[-1]["event"] == "run.ended"


def test_an_export_that_lost_a_file_is_made_anew_from_the_stages(toy):
    node = toy.node(stages="short")
    node.run()
    (node.folder.export / "total.txt").unlink()
    assert node.run().returncode == 0
    assert (node.folder.export / "total.txt").read_text() == str(sum(toy.numbers))
    assert node.folder.stage("sum").attempts.read_text() == "1"


def test_a_file_that_a_stage_leaves_as_a_link_is_exported_as_a_file(by_hand):
    node = by_hand(
        {
            "one": """
import os, sys
os.makedirs(f"{sys.argv[2]}/blobs")
open(f"{sys.argv[2]}/blobs/x", "w").write("content")
os.symlink("blobs/x", f"{sys.argv[2]}/inside.bin")
open(f"{sys.argv[1]}/y", "w").write("elsewhere")
os.symlink("../work/y", f"{sys.argv[2]}/outside.bin")
"""
        }
    )
    assert node.run().returncode == 0
    assert (node.folder.export / "inside.bin").read_text() == "content"
    assert (node.folder.export / "outside.bin").read_text() == "elsewhere"
    assert not [path for path in node.folder.export.rglob("*") if path.is_symlink()]
    assert sorted(json.loads(node.folder.manifest.read_text())["export"]) == ["blobs/x", "inside.bin", "outside.bin"]


def test_a_stage_that_was_asked_to_stop_is_interrupted_whatever_its_exit_code(by_hand, until):
    node = by_hand({"one": "import sys, time; open(sys.argv[1] + '/here', 'w').close(); time.sleep(60)"})
    process = node.start()
    until((node.folder.stage("one").work / "here").exists, "the stage's start")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=patience(90))
    assert (process.returncode, errors) == (
        33,
        "error: stage `one` was interrupted\n\nhint: the same launch command continues the run from the last complete "
        "checkpoint\n",
    )
    assert [one["event"] for one in node.events()[-2:]] == ["stage.interrupted", "run.ended"]
