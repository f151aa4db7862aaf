"""The recipe's stages as processes, with settings of the rehearsal's sizes, and ways to disturb them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.patience import until

ROOT = Path(__file__).parents[3]
PATIENCE = 180

WRITER = {
    "engine": "transformers",
    "device": "cpu",
    "dtype": "float32",
    "nf4": False,
    "gpu_share": 0.9,
    "at_once": 4,
    "instruction_tokens": 24,
    "response_tokens": 32,
    "top_p": 0.9,
    "save_every": 4,
    "seed": 42,
}
GENERATE = WRITER | {
    "rows": 12,
    "instruction_temperature": 1.0,
    "instruction_top_p": 0.95,
    "response_temperature": 0.7,
    "ban_first": ["#"],
}
RESPOND = WRITER | {"instructions": 6, "temperatures": [0.6, 1.2]}
LEARNER = {
    "device": "cpu",
    "dtype": "float32",
    "nf4": False,
    "seed": 42,
    "template": "chatml",
    "lora_rank": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "optimizer": "adamw_torch",
    "grad_clip": 0.3,
    "recompute": False,
    "keep_last": 1,
    "max_length": 256,
    "lr": 1e-2,
    "save_every": 4,
}
SFT = LEARNER | {"method": "lora", "virtual_tokens": 4, "epochs": 10.0, "batch": 4, "accumulate": 2, "warmup": 0.03}
FULL = SFT | {"method": "full", "lr": 1e-3}
DPO = LEARNER | {"beta": 0.1, "epochs": 8.0, "batch": 2, "accumulate": 2, "warmup": 0.1}


def command(stage, settings, folder, **places):
    """The stage's command line, with its settings, work and out below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    places = {**places, "out": folder / "out", "work": folder / "work"}
    flags = [str(word) for name, place in places.items() for word in (f"--{name}", place)]
    return [sys.executable, "-m", f"recipes.synthetic_instruct.{stage}", str(folder / "config.json"), *flags]


def start(words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(words):
    """The stage's output, once it has ended well."""
    process = start(words)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def disturb(words, number, there):
    """The exit code after the signal `number`, sent when `there()` is true."""
    process = start(words)
    until(lambda: process.poll() is not None or there(), "the moment", PATIENCE, 0.005)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(number)
    output = process.communicate()[0]
    assert number == signal.SIGKILL or process.returncode == 33, output
    return process.returncode


def progress(folder):
    """The lines that the stage reported so far."""
    path = folder / "work/progress.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
