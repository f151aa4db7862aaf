import fcntl
import json
import os
import threading

import pytest

from launcher.errors import LaunchError
from launcher.runfolder.files import read_json, sha256, tree, write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Input, Plan
from launcher.transfer.copy import folder_lock, pull, push
from launcher.transfer.verify import faults, read_manifest
from tests.support.patience import patience

CONTENT = bytes(range(256)) * 40


def nothing(_):
    pass


def run(path, files):
    """A finished run's folder that exports `files`."""
    folder = RunFolder(path)
    for name, content in files.items():
        (folder.export / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.export / name).write_bytes(content)
    folder.plan.write_text("plan")
    folder.events.write_text("events\n")
    manifest(folder)
    return folder


def manifest(folder):
    export = {name: {"bytes": n, "sha256": sha256(folder.export / name)} for name, n in tree(folder.export).items()}
    write_json(folder.manifest, {"export": export})


@pytest.fixture
def source(tmp_path):
    (tmp_path / "machine").mkdir()
    return run(tmp_path / "machine", {"model.bin": CONTENT, "deep/config.json": b"{}", "empty": b""})


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return RunFolder(tmp_path / "home")


def test_two_launchers_write_into_a_folder_one_after_the_other(tmp_path):
    with folder_lock(tmp_path / "runs/one"):
        other = os.open(tmp_path / "runs/one", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_a_launcher_that_waits_for_another_one_says_so(tmp_path):
    said = []
    held = threading.Event()

    def second():
        with folder_lock(tmp_path / "runs/one", lambda text: (said.append(text), held.set())):
            said.append("inside")

    with folder_lock(tmp_path / "runs/one", said.append):
        waits = threading.Thread(target=second)
        waits.start()
        assert held.wait(patience(30))
        assert said == [f"waiting   another launcher writes {tmp_path}/runs/one"]
    waits.join(patience(30))
    assert said[1:] == ["inside"]


def test_a_result_comes_home_without_the_events_that_somebody_removed(source, home):
    source.events.unlink()
    pull(source, home, nothing)
    assert faults(home, True) == [] and not home.events.exists()


def test_what_is_pulled_is_what_was_exported_and_the_manifest_comes_last(source, home):
    heard = []
    assert pull(source, home, heard.append) == read_json(source.manifest)
    assert tree(home.export) == tree(source.export)
    assert (home.export / "model.bin").read_bytes() == CONTENT
    assert home.plan.read_text() == "plan" and home.events.read_text() == "events\n"
    assert home.manifest.read_bytes() == source.manifest.read_bytes()
    assert sum(heard) == len(CONTENT) + 2
    assert faults(home, True) == []
    assert not [path for path in home.path.rglob("*") if path.name.endswith(".part")]


def test_a_second_pull_copies_nothing(source, home):
    pull(source, home, nothing)
    before = {path: path.stat().st_ino for path in home.export.rglob("*")}
    pull(source, home, nothing)
    assert {path: path.stat().st_ino for path in home.export.rglob("*")} == before


def test_a_byte_flipped_at_the_source_is_found_and_nothing_takes_the_place(source, home, refusal):
    wanted = sha256(source.export / "model.bin")
    spoilt = bytearray(CONTENT)
    spoilt[77] ^= 1
    (source.export / "model.bin").write_bytes(spoilt)
    found = sha256(source.export / "model.bin")
    assert refusal(pull, source, home, nothing, code=3) == (
        f"error: `{source.export / 'model.bin'}` is not what its run exported: its sha256 is {found[:12]}…, "
        f"the manifest says {wanted[:12]}…\n\nhint: `--redo` the stage that makes it"
    )
    assert not (home.export / "model.bin").exists()
    assert not home.manifest.exists()


def test_a_file_gone_at_the_source_is_a_sentence(source, home, refusal):
    (source.export / "model.bin").unlink()
    assert refusal(pull, source, home, nothing, code=3) == (
        f"error: `{source.export / 'model.bin'}` is gone\n\nhint: launch again: the export is made again"
    )


def test_a_large_file_lies_on_the_disk_once_and_a_small_one_twice(source, home, monkeypatch):
    monkeypatch.setattr("launcher.transfer.copy.SHARED", len(CONTENT))
    pull(source, home, nothing)
    assert (home.export / "model.bin").samefile(source.export / "model.bin")
    assert not (home.export / "deep/config.json").samefile(source.export / "deep/config.json")
    assert faults(home, True) == []
    assert not [path for path in home.path.rglob("*") if path.name.endswith(".part")]


def test_a_pull_mends_what_was_damaged_at_home(source, home):
    pull(source, home, nothing)
    (home.export / "model.bin").write_bytes(CONTENT[:-1] + b"\x00")
    (home.export / "empty").unlink()
    (home.export / "deep/config.json").write_bytes(b"{ }")
    assert faults(home, True) == [
        f"`{home.export / 'deep/config.json'}` has 3 bytes, the manifest says 2",
        f"`{home.export / 'empty'}` is gone",
        f"`{home.export / 'model.bin'}` was changed: its sha256 is not the manifest's",
    ]
    assert faults(home, False) == faults(home, True)[:2]
    pull(source, home, nothing)
    assert faults(home, True) == []


def test_a_file_of_an_earlier_export_does_not_stay_among_those_of_the_next(source, home):
    pull(source, home, nothing)
    (home.export / "mine.txt").write_text("the user's own")
    (source.export / "model.bin").rename(source.export / "model-1-of-1.bin")
    manifest(source)
    pull(source, home, nothing)
    assert sorted(tree(home.export)) == ["deep/config.json", "empty", "mine.txt", "model-1-of-1.bin"]


def test_a_pull_that_failed_leaves_nothing_in_the_way_of_the_next_export(source, home, monkeypatch):
    def fail(export):
        raise LaunchError("damaged", "redo")

    (source.export / "model.bin").rename(source.export / "pytorch_model-1-of-2.bin")
    manifest(source)
    monkeypatch.setattr("launcher.transfer.copy.check_model", fail)
    with pytest.raises(LaunchError, match="damaged"):
        pull(source, home, nothing)
    (source.export / "pytorch_model-1-of-2.bin").rename(source.export / "pytorch_model.bin")
    manifest(source)
    monkeypatch.setattr("launcher.transfer.copy.check_model", nothing)
    pull(source, home, nothing)
    assert tree(home.export) == tree(source.export)
    assert sorted(path.name for path in home.path.iterdir()) == ["events.jsonl", "export", "manifest.json", "plan.json"]


def test_a_run_without_a_manifest_has_nothing_to_bring(home, refusal):
    error = (
        f"error: `{home.path}` has no manifest: the run is not finished\n\nhint: `launcher status` shows how far it is"
    )
    assert refusal(read_manifest, home) == error
    home.manifest.write_text('{"export": {"a"')
    assert refusal(read_manifest, home) == error


@pytest.fixture
def sent(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(CONTENT)
    one = Input(str(path), "train.jsonl", len(CONTENT), sha256(path), 1)
    return path, Plan("run", "some-tiny", (), "one", Code("tree"), inputs={"train": one})


def test_inputs_are_sent_byte_for_byte_and_once(sent, home):
    path, plan = sent
    push(plan, home)
    assert (home.inputs / "train.jsonl").read_bytes() == CONTENT
    path.unlink()
    push(plan, home)


def test_an_input_damaged_on_the_way_is_sent_again(sent, home):
    push(sent[1], home)
    (home.inputs / "train.jsonl").write_bytes(CONTENT[:-1] + b"\x00")
    push(sent[1], home)
    assert (home.inputs / "train.jsonl").read_bytes() == CONTENT


def test_the_beginning_of_another_file_does_not_spoil_what_is_sent(sent, home):
    home.inputs.mkdir()
    (home.inputs / ".train.jsonl.part").write_bytes(b"of another file")
    push(sent[1], home)
    assert (home.inputs / "train.jsonl").read_bytes() == CONTENT


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), os.unlink], ids=["changed", "gone"])
def test_an_input_that_changes_while_it_is_sent_is_a_sentence(sent, home, refusal, change):
    path, plan = sent
    change(path)
    assert refusal(push, plan, home) == f"error: `{path}` changed while it was sent\n\nhint: launch again"
    assert not (home.inputs / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"export": []}, "it has no table `export`, or its `stages` are not a table"),
        ({"export": {}, "stages": []}, "it has no table `export`, or its `stages` are not a table"),
        ({"export": {}, "stages": {"a": 1}}, "its `stages` are not tables"),
        ({"export": {"../a": {}}}, "its file `../a` would lie outside the export"),
        ({"export": {"a": {"bytes": -1, "sha256": "0" * 64}}}, "its file `a` has no size and sha256"),
        ({"export": {"a": {"bytes": 1, "sha256": "0"}}}, "its file `a` has no size and sha256"),
        ({"export": {"a": 3}}, "its file `a` has no size and sha256"),
    ],
)
def test_a_manifest_that_cannot_be_believed_is_a_sentence(tmp_path, refusal, manifest, why):
    folder = RunFolder(tmp_path)
    folder.manifest.write_text(json.dumps(manifest))
    hint = "nothing was copied: do not trust the machine that wrote it"
    assert refusal(read_manifest, folder, code=3) == f"error: `{folder.manifest}`: {why}\n\nhint: {hint}"
