"""A mistake of each kind in a launch on rented GPUs: it is told, and no provider was asked for a machine."""

import json
import subprocess

import pytest

from launcher.clouds.ledger import ledger
from tests.support.patience import patience

from .conftest import ROOT
from .test_recipe import project

__all__ = ["project"]

GOOD = ("--set", "train_batch=8", "--set", "val_batch=8", "--max-cost", "500")


@pytest.fixture
def launched(project, providers):
    """`launcher launch gad-7b` on RunPod with the shipped rows, and with one thing planted."""
    root, env = project
    samples = root / "recipes/gad/sample"

    def launch(*words, train=samples / "train.jsonl"):
        before = len(providers.journal.calls)
        data = ("--data", str(train), "--data", f"val={samples / 'val.jsonl'}")
        argv = [str(ROOT / ".venv/bin/launcher"), "launch", "gad-7b", "--cloud", "runpod", *GOOD, *data, *words]
        done = subprocess.run(argv, cwd=root, env=env, capture_output=True, text=True, timeout=patience(120))
        asked = [call.operation for call in providers.journal.calls[before:]]
        assert not [one for one in asked if "eploy" in one], asked
        assert ledger(env).entries() == []
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stderr

    launch.root, launch.env = root, env
    return launch


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_data(launched, tmp_path):
    rows = (launched.root / "recipes/gad/sample/train.jsonl").read_text().splitlines()
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join([*rows[:40], json.dumps({"content": [], "teacher_response": "x"})]))
    said = launched(train=broken)
    assert said.startswith(
        f"error: data: `{broken}`: 1 of 41 rows cannot be used\n  line 41, `content`: is an empty list"
    )


def test_template(launched, tmp_path):
    model = tmp_path / "model"
    make = "import pathlib, sys; from recipes.common.model.tiny import save; save(pathlib.Path(sys.argv[1]), ['a b'])"
    subprocess.run([str(ROOT / ".venv-cpu/bin/python"), "-c", make, str(model)], cwd=ROOT, check=True)
    (model / "chat_template.jinja").write_text("{{ raise_exception('only system messages') }}")
    change(launched.root / "recipes/gad/sizes/7b.yaml", "repo: Qwen/Qwen2.5-7B-Instruct", f"repo: {model}")
    said = launched()
    assert said.startswith("error: texts: the model's chat template refuses the chat that ends with `"), said
    assert "only system messages\n" in said


def test_config_key(launched):
    said = launched("--set", 'adversarial.verl_overrides=["actor_rollout_ref.actor.ppo_max_tokn=1"]')
    assert said.startswith("error: settings: stage `adversarial`: ") and "ppo_max_tokn" in said


def test_memory(launched):
    said = launched("--gpus", "H100-SXM:1")
    assert said.startswith("error: memory: ") and " of 86 GB on H100-SXM:1, in " in said


def test_disk(launched):
    change(launched.root / "jobs/gad-7b.yaml", "disk_size: 1500", "disk_size: 100")
    said = launched()
    assert said.startswith("error: disk: the run needs ") and said.endswith(
        "100 GB are in the job file\n\n" + ("hint: give more disk, or keep fewer checkpoints (`--set keep_last=1`)\n")
    )


def test_pin(launched):
    (launched.root / "recipes/gad/pins.lock.json").unlink()
    said = launched()
    assert said.startswith("error: pins: not locked to a commit: ")
    assert said.endswith("hint: run `launcher lock gad-7b` and commit the lock file\n")


def test_secret(launched):
    change(launched.root / "recipes/gad/recipe.yaml", "HF_TOKEN: false", "HF_TOKEN: true")
    assert launched().startswith("error: secrets: not set: HF_TOKEN\n")


def test_price(launched):
    said = launched("--max-cost", "0.1")
    assert said.startswith("error: price: $0.10 pays for ") and said.endswith("`budget.max_cost` in site.yaml\n")
