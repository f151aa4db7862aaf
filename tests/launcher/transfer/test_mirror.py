"""The laptop's copy of a run folder: whole things only, the newest checkpoint only, a proof never before its result."""

import contextlib
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest

from launcher.runfolder.files import sha256
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Bucket, Code, Plan, Stage
from launcher.transfer.mirror import COPIES, Copier, Mirror
from launcher.transfer.ssh import NoRoom, Remote

STAGES = (Stage("first", ("true",)), Stage("second", ("true",), needs={"first": "first"}))


class There:
    """A node program's side, made by hand."""

    def __init__(self, path):
        self.folder, self.time = RunFolder(path), 100.0
        path.mkdir()
        self.folder.stage("first").work.mkdir(parents=True)
        self.says("run.started")

    def says(self, event, **facts):
        self.time += 1
        with open(self.folder.events, "a") as file:
            file.write(json.dumps({"time": self.time, "event": event, **facts}) + "\n")

    def saves(self, stage, step, text=None):
        place = self.folder.stage(stage).work / f"step_{step}"
        place.mkdir(parents=True)
        (place / "weights").write_text(text or f"weights of step {step}")
        self.says("stage.checkpoint", stage=stage, name=f"step_{step}", step=step)

    def finishes(self, stage, text="result"):
        own = self.folder.stage(stage)
        own.out.mkdir(parents=True, exist_ok=True)
        (own.out / "result").write_text(text)
        own.log.write_text("said\n")
        own.done.write_text(json.dumps({"stage": stage, "files": {"result": len(text)}}))
        self.says("stage.finished", stage=stage, attempt=1)


@pytest.fixture
def there(tmp_path):
    return There(tmp_path / "there")


@pytest.fixture
def mirror(remote, there, tmp_path):
    plan = Plan("run", "toy-tiny", STAGES, "second", Code(""))
    (tmp_path / "here").mkdir()
    return Mirror(plan, remote, str(there.folder.path), RunFolder(tmp_path / "here"))


def files(mirror):
    found = (path.relative_to(mirror.here.path).as_posix() for path in mirror.here.path.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(".")}


def test_a_look_brings_what_is_said_and_nothing_large(mirror, there):
    there.saves("first", 2)
    there.finishes("first")
    mirror.refresh()
    assert files(mirror) == {"events.jsonl", "stages/first/log.txt"}
    there.says("stage.started", stage="second", attempt=1)
    mirror.refresh()
    assert mirror.here.events.read_text() == there.folder.events.read_text()


def test_the_newest_checkpoint_is_kept_and_what_it_replaced_is_not(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    assert [one.path for one in mirror.missing()] == ["stages/first/work/step_2"]
    assert mirror.copy_missing() == [] and mirror.missing() == []
    there.saves("first", 4)
    mirror.refresh()
    assert mirror.copy_missing() == []
    assert files(mirror) == {"events.jsonl", "stages/first/work/step_4/weights"}


def test_a_checkpoint_that_made_room_while_it_was_copied_is_passed_over(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    mirror.copy_missing()
    there.saves("first", 4)
    mirror.refresh()
    shutil.rmtree(there.folder.stage("first").work / "step_4")
    assert [one.step for one in mirror.copy_missing()] == [4]
    assert files(mirror) == {"events.jsonl", "stages/first/work/step_2/weights"}, (
        "the older one is still the newest here"
    )


def test_a_proof_does_not_come_before_its_result(mirror, there):
    there.finishes("first")
    mirror.refresh()
    shutil.move(there.folder.stage("first").out, there.folder.path / "away")
    assert [one.kind for one in mirror.copy_missing()] == ["result"]
    assert not mirror.here.stage("first").done.exists()
    shutil.move(there.folder.path / "away", there.folder.stage("first").out)
    assert mirror.copy_missing() == []
    assert (mirror.here.stage("first").out / "result").read_text() == "result"
    assert mirror.here.stage("first").done.exists()


def test_a_result_that_was_made_again_comes_again(mirror, there):
    there.finishes("first", "old")
    mirror.refresh()
    mirror.copy_missing()
    there.says("stage.started", stage="first", attempt=1)
    there.finishes("first", "newer")
    mirror.refresh()
    mirror.copy_missing()
    assert (mirror.here.stage("first").out / "result").read_text() == "newer"


def test_what_there_is_no_room_for_is_said_until_there_is(mirror, there, small, tmp_path):
    mirror = replace(mirror, here=RunFolder(small / "here"))
    mirror.here.path.mkdir()
    there.saves("first", 2)
    assert mirror.unsaved() is None and mirror.missing() == []
    there.saves("first", 4, "w" * 100_000)
    mirror.refresh()
    small.fill()
    with pytest.raises(NoRoom):
        mirror.copy_missing()
    problem = mirror.unsaved()
    assert "No space left on device" in problem.error and problem.hint == "make room on this disk"
    assert (mirror.here.path / "stages/first/work/step_2/weights").exists(), "what is here stays"
    (tmp_path / "bin/down").touch()
    assert mirror.unsaved() is None, "a machine that does not answer is not waited for"
    (tmp_path / "bin/down").unlink()
    small.free()
    assert mirror.unsaved() is None and mirror.missing() == []
    assert (mirror.here.path / "stages/first/work/step_4/weights").stat().st_size == 100_000


def test_where_a_bucket_has_it_nothing_is_unsaved_and_the_machine_is_not_even_asked(mirror, there, tmp_path):
    there.saves("first", 2)
    stored = replace(mirror, plan=replace(mirror.plan, bucket=Bucket("s3://bucket")))
    assert stored.unsaved() is None and replace(mirror, lasting=True).unsaved() is None
    assert not (tmp_path / "bin/calls").exists()


def test_the_last_copy_has_what_no_look_has_woken_a_copy_for(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    copier = Copier(mirror, pytest.fail)
    copier.finish()
    assert mirror.missing() == [] and copier.thread is None


def test_what_is_gone_there_is_not_waited_for(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    shutil.rmtree(there.folder.stage("first").work / "step_2")
    assert [one.step for one in mirror.missing()] == [2] and mirror.unsaved() is None


def test_what_is_here_is_what_a_fresh_machine_is_sent(mirror, there):
    there.finishes("first")
    there.saves("second", 2)
    mirror.refresh()
    mirror.copy_missing()
    assert set(mirror.files_to_send()) == {
        "events.jsonl",
        "stages/first/out",
        "stages/first/done.json",
        "stages/first/log.txt",
        "stages/second/work/step_2",
    }


def test_a_new_machine_gets_the_earlier_checkpoint_when_the_newest_was_not_copied(mirror, there):
    there.finishes("first")
    there.saves("second", 2)
    mirror.refresh()
    mirror.copy_missing()
    there.saves("second", 4)
    mirror.refresh()  # it is announced, and the machine ends before its copy is complete
    assert "stages/second/work/step_2" in mirror.files_to_send()
    assert [artifact.step for artifact in mirror.present() if artifact.stage == "second"] == [2]
    mirror.copy_missing()
    assert [artifact.step for artifact in mirror.present() if artifact.stage == "second"] == [4]
    assert "stages/second/work/step_2" not in mirror.files_to_send()


def test_a_run_that_was_here_before_needs_no_copy_of_its_own_files(mirror, there):
    there.finishes("first")
    shutil.copytree(there.folder.path, mirror.here.path, dirs_exist_ok=True)
    assert mirror.missing() == []
    assert not (mirror.here.path / COPIES).exists()


def test_where_a_bucket_keeps_it_nothing_large_comes_here(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    with_bucket = Mirror(
        Plan("run", "toy-tiny", STAGES, "second", Code(""), bucket=Bucket("s3://b/f")),
        mirror.remote,
        mirror.there,
        mirror.here,
    )
    assert with_bucket.missing() == [] and with_bucket.copy_missing() == []


def test_an_export_is_here_when_its_manifest_is(mirror, there):
    export = there.folder.export
    export.mkdir()
    sizes = {}
    for name in ("config.json", "a.safetensors", "deep/b.safetensors"):
        (export / name).parent.mkdir(exist_ok=True)
        (export / name).write_text(name)
        sizes[name] = {"bytes": len(name), "sha256": sha256(export / name)}
    there.folder.manifest.write_text(json.dumps({"export": sizes}))
    assert not mirror.has_export()
    mirror.copy_export()
    assert mirror.has_export()
    assert (mirror.here.export / "deep/b.safetensors").read_text() == "deep/b.safetensors"


def exported(there, mirror, content):
    """The export there, and what a first attempt left of it here."""
    there.folder.export.mkdir(exist_ok=True)
    (there.folder.export / "model").write_bytes(content)
    wanted = {"bytes": len(content), "sha256": sha256(there.folder.export / "model")}
    there.folder.manifest.write_text(json.dumps({"export": {"model": wanted}}))
    mirror.here.export.mkdir(exist_ok=True)
    return mirror.here.export / "model"


@pytest.mark.parametrize("begun", [b"", b"0123", b"something else", b"0123456789 and more than there is there"])
def test_an_export_that_broke_off_goes_on_whatever_lies_here(mirror, there, begun):
    target = exported(there, mirror, b"0123456789" * 3)
    target.write_bytes(begun)
    mirror.copy_export()
    assert target.read_bytes() == b"0123456789" * 3


def test_a_beginning_is_appended_to_and_not_copied_again(mirror, there):
    target = exported(there, mirror, b"0123456789" * 3)
    target.write_bytes(b"0123")
    before = target.stat().st_ino
    mirror.copy_export()
    assert target.stat().st_ino == before and target.read_bytes() == b"0123456789" * 3


def test_a_file_with_a_second_name_is_not_written_to(mirror, there, tmp_path):
    """It is at home, where an earlier export stays as it is until the new one is whole."""
    target = exported(there, mirror, b"0123456789" * 3)
    target.write_bytes(b"0123")
    (tmp_path / "home").hardlink_to(target)
    mirror.copy_export()
    assert (tmp_path / "home").read_bytes() == b"0123" and target.read_bytes() == b"0123456789" * 3


def test_where_the_folder_outlives_its_machine_nothing_large_comes_here(mirror, there):
    there.saves("first", 2)
    mirror.refresh()
    assert [one.path for one in mirror.missing()] == ["stages/first/work/step_2"]
    assert replace(mirror, lasting=True).missing() == []


@dataclass(frozen=True)
class Together(Remote):
    """Of two who copy at the same time, neither goes on before the other has its copy."""

    both: threading.Barrier = field(default_factory=lambda: threading.Barrier(2, timeout=1))
    copied: list[str] = field(default_factory=list)

    def fetch(self, source, target, *options):
        super().fetch(source, target, *options)
        self.copied.append(source)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.both.wait()


@pytest.mark.parametrize("what", ["copy_missing", "copy_export"])
def test_two_launches_of_one_run_copy_one_after_the_other_and_nothing_twice(mirror, there, what):
    there.finishes("first")
    exported(there, mirror, b"model")
    mirror.refresh()
    remote = Together("h")
    following = [replace(mirror, remote=remote) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        for ended in [pool.submit(getattr(one, what)) for one in following]:
            ended.result()
    wanted = {
        "copy_missing": ["stages/first/out/", "stages/first/done.json"],
        "copy_export": ["manifest.json", "export/model"],
    }
    assert remote.copied == [f"{mirror.there}/{name}" for name in wanted[what]]
    assert mirror.missing() == [] if what == "copy_missing" else mirror.has_export()
