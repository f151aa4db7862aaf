"""A run made by hand that has everything a report shows, with names and texts that would break a careless page."""

import json
import math
import subprocess

import pytest

from launcher.clouds.ledger import Ledger
from launcher.diagnosis.diagnose import Diagnosis
from launcher.diagnosis.evidence import Line
from launcher.report.facts import facts
from launcher.runfolder.command_history import add_command
from launcher.runfolder.files import write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Budget, Code, Image, Input, Machine, Model, Plan, Source, Stage, to_json
from launcher.runfolder.status import status
from tests.support.apt import install
from tests.support.patience import patience

HOSTILE = "</script><script>document.title='caught'</script><img src=x onerror=\"document.title='caught'\">&amp;'"
BEGAN = 1_795_000_000.0
PLAN = Plan(
    "gad-7b",
    "gad-7b",
    (
        Stage("data", ("a",)),
        Stage("train", ("a",), {"data": "data"}, {"note": HOSTILE, "lr": 1e-6, "offload": False}, steps=1000),
        Stage("evaluate", ("a",), {"train": "train"}),
    ),
    "train",
    Code("7" * 64, commit="1" * 40, dirty=True),
    machine=Machine("runpod", ("H100-SXM:8",)),
    packages={"verl": "0.9.1"},
    sources={"trainer": Source("https://example.org/a.git", "main", "2" * 40, "p")},
    models={"student": Model("Qwen/Qwen2.5-7B", "main", "3" * 40)},
    inputs={"train": Input(f"/data/{HOSTILE}.parquet", "train.parquet", 1_234_567, "4" * 64, 282_367)},
    image=Image("ghcr.io/acme/launcher-gad:cuda-1", "cuda", "5" * 64, "6" * 64, "sha256:" + "8" * 64),
    environment="9" * 64,
    budget=Budget(max_cost=100.0),
)


def at(seconds, kind, stage="train", **facts):
    return {"time": BEGAN + seconds, "event": f"stage.{kind}", "stage": stage, **facts}


def step(number, **metrics):
    return at(100 + number, "progress", step=number, steps=1000, metrics=metrics)


def metrics(number):
    found = {"actor/loss": 8 / number, "reward": math.sin(number / 50), "kl": 0.001 * number, HOSTILE: float(number)}
    if number == 300:
        found["reward"] = math.nan
    return found


EVENTS = [
    {"time": BEGAN, "event": "run.started"},
    at(0, "started", "data", attempt=1),
    at(60, "finished", "data", attempt=1),
    at(60, "started", attempt=1),
    *(step(number, **metrics(number)) for number in range(1, 500)),
    at(600, "checkpoint", name="global_step_400", step=400),
    at(700, "warning", warning=f"d_acc is high {HOSTILE}"),
    {"time": BEGAN + 900, "event": "run.started"},
    at(900, "skipped", "data"),
    at(900, "started", attempt=2),
    {"time": BEGAN + 1000, "event": "run.gpus", "name": "H100", "total": 81559, "used": [70000, 100], "busy": [90, 10]},
    *({**step(number, **metrics(number)), "time": BEGAN + 600 + number} for number in range(401, 600)),
    at(1300, "failed", code=3),
    {"time": BEGAN + 1300, "event": "run.ended", "code": 3, "error": f"stage `train`: {HOSTILE}", "hint": "read x"},
]
EVALUATION = {
    "before": {"gsm8k": {"value": 0.5, "low": 0.4, "high": 0.6, "of": 100}, HOSTILE: 1},
    "after": {"gsm8k": {"value": 0.75, "low": 0.7, "high": 0.8, "of": 100}, "new": 2},
}


@pytest.fixture
def folder(tmp_path):
    """The run folder, and a ledger that knows a machine of it."""
    folder = RunFolder(tmp_path / "store" / "gad-7b")
    for stage in PLAN.stages:
        (folder.stage(stage.name).out).mkdir(parents=True)
    folder.plan.write_text(to_json(PLAN))
    folder.events.write_text("".join(json.dumps(one) + "\n" for one in EVENTS))
    write_json(folder.stage("data").done, {"metrics": {"rows": 96, "name": HOSTILE}})
    write_json(folder.stage("evaluate").out / "evaluation.json", EVALUATION)
    add_command(folder, ["launch", "gad-7b", "--cloud", "runpod", "--data", f"train={HOSTILE}"], BEGAN)
    return folder


@pytest.fixture
def book(tmp_path, folder):
    found = Ledger(tmp_path / "ledger")
    entry = found.begin("gad-7b", "runpod", folder.path, BEGAN)
    found.write(
        type(entry)(**{**vars(entry), "cloud": "runpod", "region": HOSTILE, "machine": "8x H100", "price": 21.6})
    )
    return found


@pytest.fixture
def known(folder, book):
    """The facts of that run, half an hour after it began."""
    line = Line(folder.stage("train").log, 7, f"torch.OutOfMemoryError: {HOSTILE}")
    found = Diagnosis("the GPU ran out of memory", line, "smaller pieces", "launcher launch gad-7b")
    return facts(PLAN, folder, status(PLAN, EVENTS, False), book, BEGAN + 1800, found)


class Browser:
    """Chromium without a screen and without a network."""

    def __init__(self, folder):
        self.folder = folder

    def dom(self, page, width=1200):
        """The document once its scripts have run."""
        return self._run(page, width, "--dump-dom").stdout

    def picture(self, page, width, *flags):
        """A PNG's bytes."""
        place = self.folder / "picture.png"
        self._run(page, width, f"--screenshot={place}", "--hide-scrollbars", *flags)
        return place.read_bytes()

    def _run(self, page, width, *flags):
        place = self.folder / "page.html"
        place.write_bytes(page.encode(errors="replace"))
        argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000"]
        argv += [f"--user-data-dir={self.folder / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
        argv += [f"--window-size={width},1400", *flags, place.as_uri()]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=patience(180))
        assert done.returncode == 0, done.stderr[-3000:]
        return done


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    install("chromium")
    return Browser(tmp_path_factory.mktemp("browser"))
