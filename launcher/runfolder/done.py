"""`done.json`, the done record of a stage: times, metrics, files, and the fingerprint that tells whether the result is
still the result of a plan."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from launcher.runfolder.files import read_json
from launcher.runfolder.plan import Plan, Stage, digest, settings_of
from launcher.runfolder.validation import inside, moment, whole


def read_done(path: Path) -> dict[str, Any] | None:
    """The done record with all its fields; None if it is missing or invalid: both mean that the stage is not done."""
    value = read_json(path)
    if not isinstance(value, dict):
        return None
    done = {**BLANK, **value}
    return done if all(test(done[name]) for name, test in FIELDS.items()) else None


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


def fingerprint(plan: Plan, stage: Stage) -> str:
    """sha256, equal for two plans whose `stage` would do the same work on the same inputs."""
    return digest(identity(plan, stage))


def identity(plan: Plan, stage: Stage) -> dict[str, Any]:
    """What `fingerprint` hashes, by part: the parts that differ are the reason why two results differ."""
    source = plan.sources.get(stage.source) if stage.source else None
    return {
        "argv": list(stage.argv),
        "config": settings_of(stage),
        "code": plan.code.tree,
        "packages": plan.packages,
        "source": source and {"git": source.git, "commit": source.commit, "folder": source.folder},
        "environment": plan.environment,
        "inputs": {name: plan.inputs[name].sha256 for name in inputs_of(stage, plan.inputs)},
        "needs": {name: fingerprint(plan, plan.stage(need)) for name, need in stage.needs.items()},
    }


def inputs_of(stage: Stage, names: Iterable[str]) -> list[str]:
    """The inputs that a stage's command names, of these."""
    return [name for name in sorted(names) if any(f"{{input.{name}}}" in argument for argument in stage.argv)]
