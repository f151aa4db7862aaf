"""What a training loop has to do, what it reported, and the W&B run that it writes to."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from recipes.common.verl.checkpoints import Checkpoint
from recipes.common.verl.settings import VerlSettings


@dataclass(frozen=True)
class Stage:
    """What the training loop needs in addition to verl's configuration."""

    settings: VerlSettings
    world_size: int
    work: Path
    validate_every: int
    resume: Checkpoint | None
    """This stage's own newest checkpoint."""
    start: Path | None
    """Another stage's output, with `actor/` and `critic/`: where step 0 starts; None: from the model's weights."""


def read_history(work: Path, until: int) -> dict[int, dict[str, float]]:
    """The metrics of the steps up to `until`, in order. When a step was done twice, the second time counts."""
    path, history = work / "progress.jsonl", {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if "metrics" in entry and entry["step"] <= until:
            history[entry["step"]] = entry["metrics"]
    return dict(sorted(history.items()))


def run_name(work: Path) -> str:
    """`<run>/<stage>` of the run folder's `<run>/stages/<stage>/work`, else the last two folders' names."""
    parts = [part for part in work.resolve().parts if part != "/"]
    if len(parts) >= 4 and parts[-3] == "stages" and parts[-1] == "work":
        return f"{parts[-4]}/{parts[-2]}"
    return "/".join(parts[-2:])


def wandb_environment(work: Path) -> dict[str, str]:
    """Variables with which a restarted stage continues the same W&B run. Without a key, the run stays on this disk."""
    known = {"WANDB_MODE": "offline"} if not os.environ.get("WANDB_API_KEY") else {}
    return {
        "WANDB_DIR": str(work),  # W&B makes its `wandb` folder below it
        "WANDB_RUN_ID": re.sub(r"[^A-Za-z0-9._-]", "-", run_name(work))[-128:],
        "WANDB_RESUME": "allow",
        "WANDB_SILENT": "true",
        **known,
    }
