"""The recipes' code on the laptop: what the plan will name and the node will check."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.errors import LaunchError
from launcher.images.identity import PROGRAM, recipe_folders
from launcher.runfolder.files import tree_hash
from launcher.runfolder.plan import Code


def code_of(root: Path, family: str, imaged: bool = False) -> Code:
    """The family's code and what it shares with others, and the commit it came from (None outside a git checkout).
    Where it is `imaged`, the node program's code counts for what is not committed."""
    folders = recipe_folders(root, family)
    changed = changes(root, (*folders, *PROGRAM) if imaged else folders)
    return Code(tree_hash(root, folders), folders, _git(root, "rev-parse", "HEAD"), bool(changed))


def changes(root: Path, folders: tuple[str, ...]) -> list[str]:
    """The files below `folders` that are not as the last commit has them."""
    return [line[3:] for line in (_git(root, "status", "--porcelain", "--", *folders) or "").splitlines()]


@contextmanager
def last_commit(root: Path) -> Iterator[Path]:
    """A folder with all of the project as its last commit has it, for as long as it is needed."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=root, capture_output=True, check=False)
    if archive.returncode:
        raise LaunchError(f"`{root}`: {archive.stderr.decode().strip()}", "`--dirty` needs a git checkout")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


def find_root() -> Path:
    """The folder that holds `recipes/` and `jobs/`: the current one, or the project's own."""
    here = Path.cwd()
    return here if (here / "recipes").is_dir() else Path(__file__).resolve().parent.parent.parent


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.rstrip("\n") if done.returncode == 0 else None
