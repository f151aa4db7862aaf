"""As a process: killed at any moment it leaves nothing, and its memory does not know how large the model is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recipes.common.checkpoint import convert as module
from recipes.common.checkpoint.formats import command
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
    assert sorted(path.name for path in out.parent.iterdir()) == [".out.lock", ".out.part"]
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


@pytest.mark.parametrize("size", ["nan", "inf", "-1", "0", "five"])
def test_a_size_of_files_that_is_none_is_refused(folder, tmp_path, monkeypatch, capsys, size):
    monkeypatch.setattr(sys, "argv", ["convert", str(folder), str(tmp_path / "out"), f"--max-shard-gb={size}"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(
        f"error: argument --max-shard-gb: `{size}` is not a size above 0, such as 5\n"
    )


STOPPED = """
import os, runpy, signal, sys
from recipes.common.checkpoint import {module} as module
module.{function} = lambda *args: os.kill(os.getpid(), signal.SIGINT)
sys.argv[0] = "{module}"
runpy.run_module("recipes.common.{module}", run_name="__main__")
"""
"""Somebody presses Ctrl-C when the work has begun."""


@pytest.mark.parametrize(("command", "function"), [("convert", "copy_files"), ("verify", "index_fault")])
def test_a_command_that_is_stopped_by_its_user_says_so_and_leaves_nothing(folder, tmp_path, command, function):
    module.convert(folder, tmp_path / "export", None, 10**9, lambda written, total: None)
    (tmp_path / "new").mkdir()
    arguments = {
        "convert": [str(folder), str(tmp_path / "new/out")],
        "verify": [str(tmp_path / "export"), "--checkpoint", str(folder), "--out", str(tmp_path / "new/out")],
    }
    ended = python("-c", STOPPED.format(module=command, function=function), *arguments[command])
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
    assert list((tmp_path / "new").iterdir()) == []


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
