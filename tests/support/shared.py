"""What one test process makes and all lanes of a run use."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.transfer.copy import folder_lock


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` has filled: by whoever of a run's lanes comes first, the others wait for it; a pytest
    without lanes fills one of its own. Nobody changes it."""
    if not (run := os.environ.get("LANES_SHARE")):
        folder = factory.mktemp(name)
        make(folder)
        return folder
    folder = Path(run) / name
    with folder_lock(folder.with_name(f"{name}.lock")):
        if not folder.with_name(f"{name}.made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            folder.with_name(f"{name}.made").touch()
    return folder
