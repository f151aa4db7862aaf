"""Checkpoints that the trainers' own libraries wrote."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patience

HERE = Path(__file__).parent
ROOT = HERE.parents[4]


@pytest.fixture(scope="session")
def trainers_peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that trainers_peer.py describes."""
    if not find_spec("verl"):
        pytest.skip("verl is not installed")
    root = tmp_path_factory.mktemp("trainers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(HERE / "trainers_peer.py"), str(root)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=patience(300))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return root


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """convert(checkpoint, out, "--dtype", "keep") is what the command prints."""

    def convert(*arguments: Any) -> str:
        from recipes.common.checkpoint.formats.command import main

        monkeypatch.setattr(sys, "argv", ["convert", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return convert
