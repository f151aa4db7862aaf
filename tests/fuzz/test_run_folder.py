"""A run folder whose files are not what we wrote: read by the laptop, by the node program, and copied home."""

import functools
import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.clouds.ledger import Entry, ledger
from launcher.commands import report
from launcher.commands import status as status_command
from launcher.commands.doctor import examine
from launcher.commands.pull import pull_run, verify
from launcher.config.site import SiteFile
from launcher.diagnosis.rules import rules
from launcher.node.__main__ import read_plan
from launcher.node.limits import read_limits
from launcher.node.stage import is_done
from launcher.preflight import recipe, runner
from launcher.preflight.cost import measurements
from launcher.runfolder.bucket_index import holds, read_index
from launcher.runfolder.done import fingerprint
from launcher.runfolder.manifest import is_finished
from launcher.runfolder.plan import Bucket, Code, Input, Machine, Plan, Stage, to_json
from launcher.runfolder.rclone import StoreError
from launcher.runfolder.retention import artifacts
from launcher.runfolder.status import status
from launcher.runfolder.validation import inside, plain
from launcher.transfer.copy import pull
from launcher.transfer.mirror import COPIES, Mirror
from launcher.transfer.ssh import Remote
from launcher.transfer.store import Store, plan_of
from launcher.transfer.verify import faults
from launcher.ui import console

from .hostile import NAMES, as_json, damaged, mutated, odd, spliced, trials, written
from .outcome import only_below, said

NAME, BEGAN = "toy-tiny", 1_795_000_000.0
STAGES = (
    Stage("data", ("python", "{input.train}")),
    Stage("train", ("python", "{data}"), {"data": "data"}, {"lr": 1e-6, "batch": 8}, steps=40),
)
PLAN = Plan(
    NAME,
    NAME,
    STAGES,
    "train",
    Code("7" * 64),
    Machine("local", ("H100-SXM:8",)),
    inputs={"train": Input("/data/a.jsonl", "train.jsonl", 3, "4" * 64, 3)},
)
WEIGHTS = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
EXPORT = {
    "config.json": b'{"architectures": ["A"]}',
    "model.safetensors": struct.pack("<Q", len(WEIGHTS)) + WEIGHTS + bytes(8),
    "model.safetensors.index.json": b'{"weight_map": {"a": "model.safetensors"}}',
    "tokenizer.json": b"{}",
}


def at(after, event, /, **facts):
    return {"time": BEGAN + after, "event": event, **facts}


EVENTS = [
    at(0, "run.started", run=NAME, logged=0),
    at(0, "stage.started", stage="data", attempt=1, steps=None, logged=0),
    at(5, "stage.finished", stage="data", attempt=1, seconds=5.0),
    at(5, "stage.started", stage="train", attempt=1, steps=40, logged=0),
    *(at(10 + n, "stage.progress", stage="train", step=n, steps=40, metrics={"loss": 1.0 / n}) for n in (1, 2, 3)),
    at(20, "stage.checkpoint", stage="train", name="step_3", step=3),
    at(21, "stage.stored", stage="train", kind="checkpoint", path="stages/train/work/step_3", step=3),
    at(22, "stage.warning", stage="train", warning="d_acc is high"),
    at(23, "run.gpus", stage="train", name="H100", total=81559, used=[70000, 100], busy=[90, 10]),
    at(24, "run.warning", warning="the upload does not work now"),
    at(25, "run.stored", step=3, manifest=False),
    at(30, "stage.failed", stage="train", code=3, error="stage `train`: it is full", hint="make room"),
    at(30, "run.ended", code=3, error="stage `train`: it is full", hint="read x", reason="asked"),
]
PROGRESS = [
    {"time": BEGAN + 11, "step": 1, "steps": 40, "metrics": {"loss": 1.0, "tokens_per_s": 10.0}},
    {"time": BEGAN + 12, "checkpoint": "step_3", "step": 3},
    {"time": BEGAN + 13, "warning": "look"},
]
MANIFEST = {
    "format": 1,
    "run": NAME,
    "plan_sha256": "0" * 64,
    "exported": "train",
    "export": {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in EXPORT.items()},
    "stages": {stage.name: {"fingerprint": fingerprint(PLAN, stage), "attempt": 1, "metrics": {}} for stage in STAGES},
}
DONE = {
    "stage": "data",
    "fingerprint": fingerprint(PLAN, STAGES[0]),
    "attempt": 1,
    "started": BEGAN,
    "finished": BEGAN + 5,
    "exit_code": 0,
    "metrics": {"rows": 96, "name": "x"},
    "files": {"rows.txt": 1},
}
EVALUATION = {"before": {"gsm8k": {"value": 0.5, "low": 0.4, "high": 0.6, "of": 9}}, "after": {"gsm8k": 1}, "rows": [1]}
ENTRY = vars(Entry(NAME, "runpod,lambda", "/", BEGAN, "runpod", "US", "8x", 20.0, BEGAN, BEGAN + 9, "done"))
FILES = {
    "plan.json": json.loads(to_json(PLAN)),
    "events.jsonl": EVENTS,
    "commands.jsonl": [{"time": BEGAN, "words": ["launcher", "launch", "toy-tiny", "--redo", "data"]}],
    "limits.json": {"format": 1, "until": BEGAN, "reason": "budget", "stall_seconds": 60, "reserve_seconds": 5},
    "manifest.json": MANIFEST,
    COPIES: {"stages/train/work/step_3": BEGAN + 20},
    "stages/data/done.json": DONE,
    "stages/train/work/progress.jsonl": PROGRESS,
    "stages/train/work/step_3/complete.json": {"step": 3, "world_size": 8},
    "stages/train/out/evaluation.json": EVALUATION,
    "ledger": ENTRY,
}


class Scene:
    """A user's folder with one run, inside of folders that nothing may be written to."""

    def __init__(self, outer):
        self.outer, self.folder = outer, outer / "a/b/here"
        self.site = SiteFile.model_validate({"runs": str(self.folder / "runs")})
        self.store = Store(self.site)
        self.run, self.home = self.store.folder(NAME), self.store.results(NAME)

    def made(self, texts):
        """The run folder holds what it should, but for `texts`."""
        shutil.rmtree(self.folder / "runs", ignore_errors=True)
        for name, data in {
            **EXPORT,
            "../stages/data/out/rows.txt": b"x",
            "../stages/train/log.txt": b"error: x\n",
        }.items():
            path = self.run.export / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        book = Path(os.environ["XDG_STATE_HOME"]) / "launcher/machines"
        for name, value in FILES.items():
            path = book / "one.json" if name == "ledger" else self.run.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(texts.get(name, written(lines(value) if name.endswith("jsonl") else as_json(value))))

    def read(self):
        """What each command that looks at runs does; each says a sentence at most."""
        for call in (
            lambda: status_command.show_status(self.run, self.site, False),
            lambda: status_command.show_status(self.run, self.site, True),
            lambda: status_command.list_runs(self.store),
            lambda: status_command.print_log(self.run, self.site, None, False),
            lambda: report.write_report(self.run, self.store),
            lambda: report.compare_runs(NAME, NAME, self.store),
            lambda: examine(NAME, self.store),
            status_command.list_machines,
            lambda: list(measurements("toy", self.store)),
            lambda: recipe.resume(plan_of(self.run), self.run),
            lambda: runner._past(plan_of(self.run), self.site),
        ):
            said(call)

    def bring(self):
        said(lambda: pull(self.run, self.home, lambda _: None))
        if self.home.manifest.exists():
            said(lambda: faults(self.home, True))
        said(lambda: pull_run(self.run, self.home, self.site))
        said(lambda: verify(self.home))

    def carry_on(self):
        """What the node program reads before it begins."""
        if said(lambda: read_plan(self.run)):
            return
        plan = read_plan(self.run)
        said(lambda: read_limits(self.run.limits))
        said(lambda: is_finished(plan, self.run))
        for stage in plan.stages:
            said(lambda stage=stage: is_done(plan, stage, self.run))


def lines(values):
    return "".join(as_json(value) + "\n" for value in values) if isinstance(values, list) else as_json(values)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return Scene(tmp_path_factory.mktemp("outer"))


@pytest.fixture(autouse=True)
def surroundings(scene, monkeypatch, tmp_path):
    scene.folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(scene.folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("launcher.commands.doctor.rules", functools.cache(rules))
    # a machine that the ledger holds for alive: SkyPilot, which is asked, would start a server
    monkeypatch.setattr("launcher.clouds.skypilot.state", lambda *_, **__: "UP")


def test_the_folder_as_it_should_be_is_read_and_brought_home(scene, capsys):
    scene.made({})
    scene.read()
    out = capsys.readouterr().out
    assert "train  failed" in out and (scene.home.path / "report.html").exists()
    assert plan_of(scene.run) == PLAN and is_finished(PLAN, scene.run) and is_done(PLAN, STAGES[0], scene.run)
    assert len(ledger().entries()) == 1
    scene.bring()
    assert faults(scene.home, True) == []
    assert status(PLAN, [], False).state == "planned"


@trials(25)
@given(data=st.data())
def test_a_changed_file_is_a_sentence_at_most_and_nothing_lands_elsewhere(scene, data):
    name = data.draw(st.sampled_from([*FILES, "events.jsonl", "manifest.json", "manifest.json"]))
    changed = data.draw(mutated(FILES[name]))
    text = lines(changed) if name.endswith("jsonl") else as_json(changed)
    scene.made({name: written(text)})
    with only_below(scene.folder, scene.outer):
        scene.read()
        scene.bring()
        scene.carry_on()


@trials(15)
@given(data=st.data())
def test_damaged_bytes_are_a_sentence_at_most(scene, data):
    name = data.draw(st.sampled_from(list(FILES)))
    plain_text = lines(FILES[name]) if name.endswith("jsonl") else as_json(FILES[name])
    raw = data.draw(damaged(plain_text.encode()) | spliced(plain_text).map(written))
    scene.made({name: raw})
    with only_below(scene.folder, scene.outer):
        scene.read()
        scene.bring()
        scene.carry_on()


@trials(40)
@given(name=st.sampled_from(NAMES) | st.text(max_size=6), data=st.data())
def test_a_manifest_s_names_lead_nowhere_else(scene, name, data):
    scene.made({})
    listed = {**MANIFEST["export"], name: MANIFEST["export"]["config.json"]}
    scene.run.manifest.write_bytes(written(as_json({**MANIFEST, "export": listed})))
    for base in (scene.run.export, scene.folder, scene.outer):  # what it names is there, if it can be
        if "\0" not in name and len(name) < 99 and data.draw(st.booleans()):
            try:
                os.lstat(base / name)
            except (OSError, UnicodeEncodeError):
                continue
    with only_below(scene.folder, scene.outer):
        refused = said(lambda: pull(scene.run, scene.home, lambda _: None))
    assert inside(name) or "would lie outside the export" in refused


@trials(50)
@given(events=st.lists(mutated(EVENTS[7]), max_size=4), brought=mutated(FILES[COPIES]))
def test_what_a_machine_calls_a_checkpoint_is_below_its_stage_s_work(scene, events, brought):
    scene.made({"events.jsonl": written(lines([*EVENTS, *events])), COPIES: written(as_json(brought))})
    mirror = Mirror(PLAN, Remote("h"), "/there", scene.run)
    with only_below(scene.folder, scene.outer):
        for artifact in (*mirror.needed(), *mirror.missing()):
            assert (scene.run.path / artifact.path).resolve().is_relative_to(scene.run.path.resolve())
        assert all(inside(path) for path in mirror.files_to_send())
        mirror._drop_superseded()


KEPT = {
    "format": 1,
    "entries": [
        {
            "path": "stages/train/work/step_3",
            "kind": "checkpoint",
            "stage": "train",
            "step": 3,
            "time": BEGAN,
            "files": {"weights": {"bytes": 1, "sha256": "0" * 64}, "": {"bytes": 3}},
        }
    ],
}


@trials(50)
@given(index=mutated(KEPT) | spliced(as_json(KEPT)))
def test_a_bucket_s_index_names_places_in_the_run_folder_or_is_refused(scene, monkeypatch, index):
    text = index if isinstance(index, str) else as_json(index)
    monkeypatch.setattr("launcher.runfolder.bucket_index.rclone", lambda *_, **__: text)
    try:
        found = read_index(Bucket("s3://a"), NAME)
    except StoreError as problem:
        assert problem.lasting and problem.says == f"`{NAME}/kept.json` cannot be understood"
        return
    for entry in found:
        assert inside(entry.path) and (entry.stage is None or plain(entry.stage))
        holds(scene.run.path / entry.path, entry)
    artifacts(PLAN, [])


@trials(200)
@given(name=st.sampled_from(NAMES) | st.text(max_size=20) | st.text("./a~-", max_size=12))
def test_a_name_that_counts_as_inside_stays_inside(tmp_path, name):
    assert not plain(name) or inside(name)
    if inside(name):
        assert os.path.normpath(tmp_path / name) == f"{tmp_path}/{name}"


@trials(40)
@given(text=st.lists(odd, max_size=4))
def test_what_is_printed_steers_no_terminal(text, capsys):
    console.say(" ".join(map(str, text)))
    console.show_error("error: " + " ".join(map(str, text)))
    shown = "".join(capsys.readouterr())
    assert not [char for char in shown if ord(char) < 32 and char not in "\n\t"] and "\x9b" not in shown
