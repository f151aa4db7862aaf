"""Which W&B run a stage writes to."""

import os
import re
from pathlib import Path


def run_name(work: Path) -> str:
    """`<run>/<stage>` of the run folder's `<run>/stages/<stage>/work`, else the last two folders' names."""
    parts = [part for part in work.resolve().parts if part != "/"]
    if len(parts) >= 4 and parts[-3] == "stages" and parts[-1] == "work":
        return f"{parts[-4]}/{parts[-2]}"
    return "/".join(parts[-2:])


def wandb_environment(work: Path) -> dict[str, str]:
    """Variables under which a restarted stage goes on in the same W&B run; without a key it stays on this disk."""
    known = {"WANDB_MODE": "offline"} if not os.environ.get("WANDB_API_KEY") else {}
    return {
        "WANDB_DIR": str(work),  # W&B makes its `wandb` folder below it
        "WANDB_RUN_ID": re.sub(r"[^A-Za-z0-9._-]", "-", run_name(work))[-128:],
        "WANDB_RESUME": "allow",
        "WANDB_SILENT": "true",
        **known,
    }
