"""`done.json`: that a stage is done, by which plan, in what time, with which numbers and files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher.runfolder.files import read_json
from launcher.runfolder.names import inside
from launcher.runfolder.validation import moment, whole


def read_proof(path: Path) -> dict[str, Any] | None:
    """The proof, with all its fields; None when there is none, or it is not one: both mean "not yet"."""
    value = read_json(path)
    if not isinstance(value, dict):
        return None
    proof = {**BLANK, **value}
    return proof if all(test(proof[name]) for name, test in FIELDS.items()) else None


def _files(value: Any) -> bool:
    return isinstance(value, dict) and all(inside(name) and type(size) is int for name, size in value.items())


BLANK = {"fingerprint": "", "attempt": 0, "started": 0.0, "finished": 0.0, "metrics": {}, "files": {}}
FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "fingerprint": lambda value: isinstance(value, str),
    "attempt": whole,
    "started": moment,
    "finished": moment,
    "metrics": lambda value: isinstance(value, dict),
    "files": _files,
}
