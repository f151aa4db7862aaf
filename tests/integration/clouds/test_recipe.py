"""A real recipe on rented machines: `make launch`, and the same job with nothing but SkyPilot."""

import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from launcher.clouds.ledger import ledger
from launcher.config.recipe import families
from launcher.config.yaml import load
from launcher.images.identity import image_of
from launcher.runfolder.plan import from_json
from tests.support.chance import some
from tests.support.patience import patience, until

from .conftest import ROOT

CLOUDS = ("runpod", "lambda")
TOKEN = "hf_canaryCanaryCANARYcanaryCanaryCANARYca"


@pytest.fixture
def project(tmp_path, gad_image, account, environment, providers):
    """The project as somebody has it who has committed all, with its environments, and the accounts."""
    root = tmp_path / "project"
    for name in ("launcher", "recipes", "jobs", "images", "locks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", ".wheels", ".sbom"))
    shutil.copy2(ROOT / "Makefile", root)
    for name in (".venv", ".venv-cpu"):
        (root / name).symlink_to(ROOT / name)
    env = {**environment, **account, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(root)}
    env.pop("DOCKER_HOST", None)
    yield root, env
    subprocess.run([str(ROOT / ".venv/bin/launcher"), "down", "--all"], cwd=root, env=env, capture_output=True)
    for machine in providers.machines():
        providers.fleet.end(machine, "the test is over")


class Watch(threading.Thread):
    """Looks at every command line on this machine for a word, as long as the block lasts."""

    def __init__(self, *words: str):
        super().__init__(daemon=True)
        self.words, self.seen, self.over = words, set(), False

    def run(self):
        while not self.over:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                self.seen |= {line.replace("\0", " ")[:300] for word in self.words if word in line}
            time.sleep(0.05)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()


def holding(folders, words):
    """The files below the folders that hold one of the words."""
    found = []
    for folder in folders:
        for path in (path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()):
            content = path.read_bytes()
            found += [str(path) for word in words if word.encode() in content]
    return found


FAMILIES = [(f"{family}-tiny", cloud) for family in families(ROOT) for cloud in CLOUDS]


@pytest.mark.parametrize(("recipe", "cloud"), some(FAMILIES, 1))
def test_make_launch_brings_a_trained_and_converted_model_home(project, providers, cpu_image, recipe, cloud, tmp_path):
    root, env = project
    env["HF_TOKEN"] = TOKEN
    cpu_image(recipe)
    words = ["make", "launch", f"RECIPE={recipe}", f"CLOUD={cloud}", "ARGS=--max-cost 5"]
    with Watch(TOKEN, providers.key) as watch:
        done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, timeout=patience(900))
    assert done.returncode == 0, done.stdout + done.stderr
    run = recipe.replace("_", "-")
    plan = from_json((root / "runs/.store" / run / "plan.json").read_text())
    manifest = json.loads((root / "runs" / run / "manifest.json").read_text())
    assert set(manifest["stages"]) == {stage.name for stage in plan.stages}
    assert "all sha256 match the manifest" in done.stdout
    assert re.search(r"^loaded    \d+ tensors, [\d,]+ parameters$", done.stdout, re.M), done.stdout
    if recipe == "gad-tiny":
        assert manifest["stages"]["verify"]["metrics"]["largest_difference"] == 0
        for stage in ("warmup", "adversarial"):  # which of its steps are seen depends on when we look
            assert re.search(rf"^{stage} +running \d+/\d+ ", done.stdout, re.M), done.stdout
    assert providers.machines() == []
    [entry] = ledger(env).entries()
    assert (entry.cloud, entry.end) == (cloud, "its export is pulled")
    # no secret is in a command line, in a file of ours or of SkyPilot's, on the screen, or in a request's body
    assert watch.seen == set()
    assert TOKEN not in done.stdout + done.stderr and providers.key not in done.stdout + done.stderr
    home = Path(env["HOME"])
    credentials = {str(home / ".runpod/config.toml"), str(home / ".lambda_cloud/lambda_keys")}
    places = [root / "runs", tmp_path / "state", home]
    assert set(holding(places, [TOKEN, providers.key])) <= credentials
    assert not [call for call in providers.journal.calls if TOKEN in call.body or providers.key in call.body]


@pytest.mark.parametrize("cloud", some(CLOUDS, 1))
def test_the_job_runs_with_plain_skypilot(project, providers, cloud):
    root, env = project
    launcher, sky = str(ROOT / ".venv/bin/launcher"), str(ROOT / ".venv/bin/sky")

    def do(*words, **options):
        done = subprocess.run(
            words, cwd=root, env=env, capture_output=True, text=True, timeout=patience(900), **options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    do(launcher, "plan", "gad-tiny", "--cloud", cloud, "--write", "by-hand")
    image = image_of(root, load(root / "recipes/gad/recipe.yaml")["image"], "gad", "cpu").name
    words = ["-y", "-d", "-c", "plain", "--infra", cloud, "--image-id", f"docker:{image}", "--workdir", "by-hand"]
    do(sky, "launch", *words, "jobs/gad-tiny.yaml")
    made = Path(env["HOME"]) / ".sky/generated"
    # SkyPilot writes `~`, which is not HOME to ssh
    ssh = ["ssh", "-F", str(made / "ssh/plain"), "-i", str(made / "ssh-keys/plain.key"), "plain"]

    def finished():
        look = subprocess.run([*ssh, "cat sky_workdir/events.jsonl"], env=env, capture_output=True, text=True)
        assert '"run.ended"' not in look.stdout, look.stdout
        return '"stage": "data", "attempt": 1, "seconds"' in look.stdout

    until(finished, "the data stage's end", 240)
    do(sky, "down", "-y", "plain")
    assert providers.machines() == []
