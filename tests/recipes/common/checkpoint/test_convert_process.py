"""As a process: killed at any moment it leaves nothing, and its memory does not know how large the model is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.patience import patience

ROOT = Path(__file__).parents[4]
MB = 1 << 20

PEAK = """
import sys
from recipes.common.checkpoint.formats import command
command.main()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Not ru_maxrss: a child inherits that of the process that started it."""

KILLED = """
import os, signal, sys
from pathlib import Path
from recipes.common.checkpoint.convert import convert
def on_tensor(written, total):
    if written == total // 2:
        os.kill(os.getpid(), signal.SIGKILL)
convert(Path(sys.argv[1]), Path(sys.argv[2]), None, 400, on_tensor)
"""


def python(*args, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *args], env=environment, capture_output=True, text=True, timeout=patience(120), **options
    )


@pytest.fixture
def folder(write_role):
    return write_role({f"layer.{i}": torch.full((5, 10), float(i)) for i in range(8)}, (2,))


def test_a_conversion_that_is_killed_leaves_no_folder_and_the_next_one_makes_it(folder, tmp_path):
    out = tmp_path / "new" / "out"
    assert python("-c", KILLED, str(folder), str(out)).returncode == -9
    assert [path.name for path in out.parent.iterdir()] == [".out.part"]
    ended = python("-m", "recipes.common.convert", str(folder), str(out), "--dtype", "keep")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Qwen2ForCausalLM: 8 tensors, 400 parameters, float32, 0.00 GB, files: 1, ")
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    tensors = load_file(out / "model.safetensors")
    assert {name: value.unique().tolist() for name, value in tensors.items()} == {f"layer.{i}": [i] for i in range(8)}


def test_progress_is_written_where_the_stage_is_told_to(folder, tmp_path):
    ended = python("-m", "recipes.common.convert", str(folder), str(tmp_path / "out"), "--work", str(tmp_path / "work"))
    assert ended.returncode == 0, ended.stderr
    lines = [json.loads(line) for line in (tmp_path / "work" / "progress.jsonl").read_text().splitlines()]
    assert [(line["step"], line["steps"]) for line in lines] == [(i, 8) for i in range(1, 9)]


def test_a_mistake_is_a_sentence_and_exit_code_2(folder):
    ended = python("-m", "recipes.common.convert", str(folder), str(folder))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: `{folder}` exists and is not an empty folder\n\nhint: name a new folder, or remove this one\n"
    )


def peak(write_role, tmp_path, name, megabytes):
    """Peak memory, in MB, of converting so many MB of float32 on 2 ranks, cut along both dimensions."""
    tensors = {f"layer.{i}": torch.zeros(4096, megabytes * 32) for i in range(2)}
    tensors |= {f"small.{i}": torch.zeros(30_000) for i in range(megabytes)}
    folder = write_role(tensors, (2,), {"layer.1": 1}, name=name)
    ended = python("-c", PEAK, str(folder), str(tmp_path / f"{name}-out"))
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout.splitlines()[-1]) / 1024


def test_peak_memory_is_the_same_for_a_model_of_any_size(write_role, tmp_path):
    small, large = (peak(write_role, tmp_path, name, size) for name, size in (("small", 20), ("large", 200)))
    assert large - small < 20
    assert large < 400
