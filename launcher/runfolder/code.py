"""The identity of the recipes' code: what the plan names is what the node runs."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

KINDS = {".py", ".json"}
NOT_CODE = {"pins.lock.json"}


def tree_hash(root: Path, folders: Iterable[str]) -> str:
    """sha256 over the names and contents of the programs and tables below `root`'s `folders`."""
    whole = hashlib.sha256()
    for folder in sorted(folders):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in KINDS and path.name not in NOT_CODE and path.is_file():
                name = path.relative_to(root).as_posix()
                whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
