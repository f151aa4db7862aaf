"""What a run needs outlives its machine: real uploads to a store that checks signatures, real kills."""

import shutil
import signal

import pytest

from launcher.config.site import BucketSite, SiteFile
from launcher.runfolder.lock import holder
from launcher.runfolder.processes import descendants
from tests.support.patience import patience

RUN = "toy-tiny"
PROOFS = ["stages/sum/done.json", "stages/again/done.json"]


def held(toy, stage, step, until, objects, *more):
    """A node program whose stage waits at a step, with its newest checkpoint stored."""
    node = toy.node(f"{stage}.fault=hold@{step}", *more)
    process = node.start(start_new_session=True)
    node.at_step(stage, step)
    safe = f"stages/{stage}/work/step_{(step - 1) // 2 * 2}"
    until(lambda: objects.index(RUN)[-1:] == [safe], f"the storing of {safe}")
    return node, process


def lost(toy, node, process):
    """The machine is gone, with all that was on it; another one has what the laptop sends."""
    process.kill()
    process.communicate(timeout=patience(90))
    plan = node.folder.plan.read_text()
    shutil.rmtree(node.folder.path)
    fresh = toy.node()
    fresh.folder.plan.write_text(plan)
    return fresh


def rclones(process):
    """The process ids of the rclone that a node program runs."""
    found = []
    for one in descendants(process.pid):
        try:
            with open(f"/proc/{one}/comm") as file:
                found += [one] if file.read().strip() == "rclone" else []
        except OSError:
            continue
    return found


def test_a_finished_run_is_stored_with_nothing_superseded_beside_it(kept, objects):
    node = kept.node()
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert objects.index(RUN) == [*PROOFS, "export", "manifest.json"]
    files = {"export/metrics.json", "export/total.txt", "manifest.json", "kept.json", "events.jsonl", *PROOFS}
    small = {f"stages/{name}/{file}" for name in ("sum", "again") for file in ("log.txt", "attempts")}
    progress = {f"stages/{name}/work/progress.jsonl" for name in ("sum", "again")}
    assert objects.files(RUN) == files | small | progress
    assert [one["event"] for one in node.events()][-2:] == ["stage.stored", "run.stored"]
    assert node.events("run.stored")[0]["manifest"] is True
    assert not node.events("run.warning")


def test_a_checkpoint_is_removed_once_a_newer_one_is_stored(kept, objects, until):
    _, process = held(kept, "sum", 7, until, objects)
    until(lambda: objects.index(RUN) == ["stages/sum/work/step_6"], "the end of what is superseded")
    until(lambda: not any("step_4" in one or "step_2" in one for one in objects.files(RUN)), "its removal")
    assert "stages/sum/work/step_6/saved.json" in objects.files(RUN)
    process.kill()


def test_a_fresh_machine_carries_on_from_the_stored_checkpoint_and_redoes_nothing(kept, objects, until):
    node, process = held(kept, "again", 9, until, objects)
    assert objects.index(RUN) == ["stages/sum/out", "stages/sum/done.json", "stages/again/work/step_8"]
    fresh = lost(kept, node, process)
    process = fresh.start()
    until(lambda: [one for one in fresh.events("stage.started") if one["attempt"] == 2], "the second attempt")
    fresh.go("again")
    _, errors = process.communicate(timeout=patience(60))
    assert process.returncode == 0, errors
    assert fresh.total() == kept.total
    assert fresh.folder.stage("again").attempts.read_text() == "2"
    assert "from step 8\n" in fresh.folder.stage("again").log.read_text()
    assert len(fresh.events("run.started")) == 2
    assert [one["stage"] for one in fresh.events("stage.skipped")] == ["sum"]
    assert fresh.events("run.restored")[0]["paths"] == [
        "stages/sum/out",
        "stages/sum/done.json",
        "stages/again/work/step_8",
    ]
    assert not (fresh.folder.path / ".restoring").exists()


def test_a_stopped_run_stores_its_last_checkpoint_before_it_ends(kept, objects, until):
    node, process = held(kept, "sum", 5, until, objects)
    process.terminate()
    process.communicate(timeout=patience(90))
    assert process.returncode == 33
    assert objects.index(RUN) == ["stages/sum/work/step_5"]
    assert [one["event"] for one in node.events()][-3:] == ["run.ended", "stage.stored", "run.stored"]
    assert node.events("run.stored")[0]["step"] == 5


SLOW = """
import json, os, sys, time
work, out = sys.argv[1:]
place = os.path.join(work, "step_1")
if os.path.exists(place):
    print("from step 1", flush=True)
    open(os.path.join(out, "x"), "w").write("x")
    sys.exit(0)
os.mkdir(place)
open(os.path.join(place, "weights"), "wb").write(os.urandom(SIZE))
with open(os.path.join(work, "progress.jsonl"), "a") as file:
    file.write(json.dumps({"checkpoint": "step_1", "step": 1}) + chr(10))
time.sleep(600)
"""


def slow(by_hand, objects, size=3_000_000):
    """A stage that leaves a checkpoint and waits; the bytes trickle."""
    node = by_hand({"one": SLOW.replace("SIZE", str(size))}, bucket=objects.bucket)
    node.env.update(objects.keys)
    return node


def test_an_upload_that_was_killed_is_never_taken_for_a_checkpoint(by_hand, objects, until, alive):
    node = slow(by_hand, objects)
    node.env["RCLONE_BWLIMIT"] = "100k"
    process = node.start(start_new_session=True)
    until((node.folder.stage("one").work / "step_1/weights").exists, "the checkpoint")
    until(lambda: (node.folder.path / ".uploading").exists(), "its storing")
    below = until(lambda: rclones(process), "rclone")
    process.kill()
    process.communicate(timeout=patience(90))
    until(lambda: not any(alive(one) for one in below), "the end of rclone")
    assert objects.index("hand") == []
    shutil.rmtree(node.folder.stage("one").path)
    del node.env["RCLONE_BWLIMIT"]
    process = node.start()
    until(lambda: objects.index("hand") == ["stages/one/work/step_1"], "the storing of what was made anew")
    assert not node.events("run.restored")
    process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 33)])
def test_a_restore_that_was_broken_off_is_begun_again_and_nothing_torn_is_used(by_hand, objects, until, number, code):
    node = slow(by_hand, objects)
    process = node.start()
    until(lambda: objects.index("hand") == ["stages/one/work/step_1"], "the storing")
    process.kill()
    process.communicate(timeout=patience(90))
    whole = (node.folder.stage("one").work / "step_1/weights").read_bytes()
    shutil.rmtree(node.folder.stage("one").path)
    node.folder.events.unlink()
    node.env["RCLONE_BWLIMIT"] = "100k"
    process = node.start(start_new_session=True)
    parts = node.folder.path / ".restoring"
    until(lambda: parts.exists() and list(parts.rglob("weights*")), "a part of the checkpoint")
    process.send_signal(number)
    process.communicate(timeout=patience(90))
    assert process.returncode == code
    assert not (node.folder.stage("one").work / "step_1").exists()
    del node.env["RCLONE_BWLIMIT"]
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert node.folder.stage("one").log.read_text().endswith("from step 1\n")
    assert (node.folder.stage("one").work / "step_1/weights").read_bytes() == whole
    assert not parts.exists()


def test_a_store_that_does_not_answer_for_a_while_holds_nothing_up_and_is_caught_up_with(kept, objects, gate, until):
    node, process = held(kept, "sum", 3, until, objects, "again.fault=hold@1")  # so that the run does not end meanwhile
    gate.shut()
    node.go("sum")
    until(node.folder.stage("sum").done.exists, "the stage's end")
    warning = until(lambda: node.events("run.warning"), "a warning")[0]["warning"]
    assert warning == (
        f"the upload does not work now, and is tried again: `{objects.bucket.url}`: dial tcp 127.0.0.1:{gate.port}: "
        "connect: connection refused"
    )
    gate.open()
    node.go("again")
    process.communicate(timeout=patience(60))
    assert process.returncode == 0
    assert objects.index(RUN) == [*PROOFS, "export", "manifest.json"]
    assert len(node.events("run.warning")) == 1


def test_a_store_that_never_answers_again_fails_no_run_and_is_told(kept, objects, gate, until):
    node, process = held(kept, "sum", 3, until, objects)
    gate.shut()
    node.go("sum")
    process.communicate(timeout=patience(60))
    assert process.returncode == 0
    assert node.events("run.warning")[-1]["warning"] == (
        f"the upload is not complete: `{objects.bucket.url}`: dial tcp 127.0.0.1:{gate.port}: connect: connection "
        "refused"
    )
    assert not node.events("run.stored")


def test_a_folder_that_has_something_goes_on_without_a_store_that_cannot_be_read(kept, objects, gate, until):
    node, process = held(kept, "sum", 3, until, objects)
    process.kill()
    process.communicate(timeout=patience(90))
    until(lambda: holder(node.folder.lock) is None, "the stage's end")  # or it goes on, too
    gate.shut()
    node.go("sum")
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert "from step 2\n" in node.folder.stage("sum").log.read_text()
    assert node.events("run.warning")[0]["warning"] == (
        f"`{objects.bucket.url}` cannot be read: dial tcp 127.0.0.1:{gate.port}: connect: connection refused; "
        "the run continues with what is here"
    )


def test_what_is_newer_here_is_not_replaced_by_what_the_store_has(kept, objects, gate, until):
    node, process = held(kept, "sum", 3, until, objects)
    gate.shut()
    process.terminate()
    process.communicate(timeout=patience(60))
    assert process.returncode == 33
    gate.open()
    assert objects.index(RUN) == ["stages/sum/work/step_2"]
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert node.folder.stage("sum").log.read_text() == "from step 0\nfrom step 3\n"
    assert not node.events("run.restored")
    assert not list(node.folder.stage("sum").work.glob("step_2"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records."),
        (
            "AWS_SECRET_ACCESS_KEY",
            "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        ),
    ],
)
def test_wrong_credentials_are_a_sentence_before_anything_is_spent(kept, objects, name, says):
    kept.env[name] = "AKIAWRONGWRONGWRONGW"
    node = kept.node()
    done = node.run()
    assert done.returncode == 3
    assert done.stderr.endswith(
        f"error: `{objects.bucket.url}` cannot be read: {says}\n\n"
        "hint: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and what they may do\n"
    )
    assert not (node.folder.path / "stages").exists()
    assert node.events()[-1]["error"] == f"`{objects.bucket.url}` cannot be read: {says}"


def test_a_bucket_that_does_not_exist_is_a_sentence(kept, objects):
    kept.site = SiteFile(bucket=BucketSite(url="s3://no-such-bucket", endpoint=objects.bucket.endpoint))
    done = kept.node().run()
    assert done.returncode == 3
    assert done.stderr.endswith(
        "error: `s3://no-such-bucket` cannot be read: directory not found\n\n"
        "hint: make the bucket first, or correct `bucket.url` in site.yaml\n"
    )


def test_a_machine_without_rclone_is_a_sentence(kept, objects, tmp_path):
    kept.env["PATH"] = str(tmp_path / "nothing")
    done = kept.node().run()
    assert (done.returncode, done.stderr) == (
        3,
        f"error: `{objects.bucket.url}` cannot be read: `rclone` is not installed here\n\n"
        "hint: install it: rclone.org/install, `apt install rclone`\n",
    )


def test_no_credential_is_in_a_file_of_the_run_or_in_an_argument(kept, objects, until):
    node, process = held(kept, "sum", 3, until, objects)
    secret = objects.keys["AWS_SECRET_ACCESS_KEY"]
    process.terminate()
    said = "".join(process.communicate(timeout=patience(90)))
    assert secret not in said
    for path in node.folder.path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert kept.plan().secrets == dict.fromkeys(objects.keys, True)


def test_a_folder_on_a_disk_is_a_store_too(kept, tmp_path):
    kept.site = SiteFile(bucket=BucketSite(url=f":local:{tmp_path}/kept"))
    done = kept.node().run()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept/toy-tiny/export/total.txt").read_text() == str(kept.total)
    shutil.rmtree(kept.folder().path)
    fresh = kept.node()
    assert fresh.run().returncode == 0
    assert fresh.folder.manifest.exists()
    assert fresh.folder.stage("sum").attempts.read_text() == "1"


def test_the_kill_of_all_that_a_stage_started_spares_the_vault(by_hand, objects, until):
    """A stage's end kills every descendant of the node program, which the vault and its rclone are too."""
    write = "import os, pathlib, sys; pathlib.Path(sys.argv[2], 'x').write_bytes(os.urandom(300_000))"
    node = by_hand({"one": write, "two": write, "three": write}, bucket=objects.bucket)
    node.env.update(objects.keys, RCLONE_BWLIMIT="200k")
    done = node.run()
    assert done.returncode == 0, done.stderr
    assert not node.events("run.warning")
    assert objects.index("hand")[-1] == "manifest.json"


WAITS = """
import pathlib, sys, time
work, out = map(pathlib.Path, sys.argv[1:])
while not (work / "go").exists():
    time.sleep(0.01)
(out / "x").write_text("x")
"""


def test_an_export_is_stored_beside_the_result_it_was_made_of_which_then_goes(by_hand, objects, until):
    write = "import os, pathlib, sys; pathlib.Path(sys.argv[2], 'weights').write_bytes(os.urandom(300_000))"
    node = by_hand({"one": write, "two": WAITS}, bucket=objects.bucket, export="one")
    node.env.update(objects.keys)
    process = node.start()
    until(lambda: objects.index("hand") == ["stages/one/out", "stages/one/done.json"], "the storing of the result")
    node.go("two")
    _, errors = process.communicate(timeout=patience(60))
    assert process.returncode == 0, errors
    proofs = ["stages/one/done.json", "stages/two/out", "stages/two/done.json"]
    assert objects.index("hand") == [*proofs, "export", "manifest.json"]
    assert {one for one in objects.files("hand") if "weights" in one} == {"export/weights"}


def test_a_checkpoint_that_the_trainer_prunes_is_stored_all_the_same(by_hand, objects, until):
    node = slow(by_hand, objects)
    node.env["RCLONE_BWLIMIT"] = "1M"
    process = node.start()
    until(lambda: (node.folder.path / ".uploading").exists() and rclones(process), "its storing")
    shutil.rmtree(node.folder.stage("one").work / "step_1")
    until(lambda: objects.index("hand") == ["stages/one/work/step_1"], "the end of its storing")
    assert "stages/one/work/step_1/weights" in objects.files("hand")
    process.kill()
