"""Checkpoints that the trainers' own libraries wrote."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.common.conftest import made_by


@pytest.fixture(scope="session")
def trainers_peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that trainers_peer.py describes."""
    return made_by(Path(__file__).parent / "trainers_peer.py", tmp_path_factory.mktemp("trainers"))


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """convert(checkpoint, out, "--dtype", "keep") is what the command prints."""

    def convert(*arguments: Any) -> str:
        from recipes.common.checkpoint.formats.command import main

        monkeypatch.setattr(sys, "argv", ["convert", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return convert
