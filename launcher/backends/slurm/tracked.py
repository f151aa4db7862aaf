"""What Weights & Biases kept in a run folder where there was no network: sent from here, once."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

RUNS = "stages/*/work/wandb/offline-run-*"


def sync(folder: Path, key: str | None, show: Callable[[str], None]) -> None:
    """The stages' offline runs are sent with the account's key; where `wandb` is not here, or fails, a line says what
    sends them. Without a key nobody wants them sent."""
    kept = [one.parent for one in sorted(folder.glob(f"{RUNS}/*.wandb"))]
    runs = [one for one in kept if not list(one.glob("*.wandb.synced"))]  # wandb's own mark
    if not runs or not key:
        return
    by_hand = f"`wandb sync {folder}/{RUNS}` sends them"
    if not shutil.which("wandb"):
        show(f"wandb     {len(runs)} offline runs; `pip install wandb`, then {by_hand}")
    else:
        env = {**os.environ, "WANDB_API_KEY": key}
        done = subprocess.run(["wandb", "sync", *map(str, runs)], env=env, capture_output=True, text=True, check=False)
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        show(f"wandb     {len(runs)} offline runs sent" if done.returncode == 0 else f"wandb     {last}; {by_hand}")
