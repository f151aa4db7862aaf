"""The recipes' code on the laptop: what the plan will name and the node will check."""

import subprocess
from pathlib import Path

from launcher.node.code import tree_hash
from launcher.node.records import Code


def code_of(root: Path, family: str) -> Code:
    """The family's code and what it shares with others, and the commit it came from (None outside a git checkout)."""
    folders = tuple(f"recipes/{name}" for name in ("common", family) if (root / "recipes" / name).is_dir())
    changed = _git(root, "status", "--porcelain", "--", *folders)
    return Code(tree_hash(root, folders), folders, _git(root, "rev-parse", "HEAD"), bool(changed))


def find_root() -> Path:
    """The folder that holds `recipes/` and `jobs/`: the current one, or the project's own."""
    here = Path.cwd()
    return here if (here / "recipes").is_dir() else Path(__file__).resolve().parent.parent


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
