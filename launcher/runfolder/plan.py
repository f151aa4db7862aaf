"""The records that the laptop writes and the node reads: a plan, its stages, its pins."""

import dataclasses
import functools
import hashlib
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from launcher.runfolder.validation import plain

FORMAT = 1
"""Version of plan.json; a node program refuses a plan of another version."""


@dataclass(frozen=True)
class Must:
    """What a stage has to have produced before its exit code 0 is believed."""

    files: tuple[str, ...] = ()
    """Glob patterns below `{out}`; each matches at least one file that is not empty."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Conditions on `{out}/metrics.json`: {"actor_change": {"above": 0}}; words: above, below, equals, at_least."""


@dataclass(frozen=True)
class Stage:
    """One command of a run, with its settings and what it needs."""

    name: str
    argv: tuple[str, ...]
    """With placeholders; a leading `python` is the interpreter of the environment the node program runs in."""
    needs: dict[str, str] = field(default_factory=dict)
    """Placeholder -> the earlier stage whose `out` it stands for."""
    config: dict[str, Any] = field(default_factory=dict)
    must: Must = Must()
    source: str | None = None
    """The name of the git source this stage imports, when it pins one."""
    steps: int | None = None
    grace: int = 60
    """Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Source:
    """A git commit, checked out by the node for the stages that name it."""

    git: str
    ref: str
    commit: str
    package: str
    """The top-level Python package that has to come from this checkout, and from nowhere else."""
    folder: str = "."
    """Where in the checkout that package lies."""


@dataclass(frozen=True)
class Model:
    """A model repository of the hub at one commit."""

    repo: str
    revision: str
    commit: str | None


@dataclass(frozen=True)
class Input:
    """A file of the user's that the run needs."""

    path: str
    """Where it lies on the laptop."""
    file: str
    """Its name below `inputs/` of the run folder."""
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class Code:
    """The recipes' code: `tree` is the sha256 over names and contents below `folders`, `commit` tells its origin."""

    tree: str
    folders: tuple[str, ...] = ()
    commit: str | None = None
    dirty: bool = False


@dataclass(frozen=True)
class Machine:
    """What the job file asks for."""

    cloud: str = "local"
    accelerators: tuple[str, ...] = ()
    """Any one of these, as `H100:8`."""
    nodes: int = 1
    disk_gb: int | None = None
    software: str | None = None
    """What the stages run in on a Slurm cluster: environment, pyxis or apptainer."""


@dataclass(frozen=True)
class Image:
    """The software of a run, as one image; `lock` and `code` are baked into it and asserted on the node."""

    name: str
    """What the engine or the cloud is asked for, as `launcher-gad:cuda-0123456789ab`."""
    variant: str
    """cpu or cuda."""
    lock: str
    """sha256 over the locked packages and the Dockerfiles."""
    code: str
    """sha256 over the node program and the recipes' code."""
    digest: str | None = None
    """The registry's digest, or the engine's id; None before the image is built."""
    overlay: bool = False
    """Whether the working tree is laid over the baked code (`--dirty`)."""


@dataclass(frozen=True)
class Bucket:
    """An object store that outlives the machine. Its credentials are in the environment and nowhere else."""

    url: str
    """`s3://BUCKET/FOLDER`, or an rclone remote: `name:path`, `:backend,setting=value:path`."""
    endpoint: str | None = None
    """Where an `s3://` that is not Amazon's answers, as `https://ACCOUNT.r2.cloudflarestorage.com`."""
    provider: str = "Other"
    """rclone's word for it: AWS, Cloudflare, Minio, ..., Other."""
    region: str | None = None


@dataclass(frozen=True)
class Budget:
    """Limits the run must not exceed; None is no limit."""

    max_cost: float | None = None
    max_hours: float | None = None


@dataclass(frozen=True)
class Plan:
    """Everything a node needs to know about a run; complete, and never changed once the run exists."""

    run: str
    recipe: str
    stages: tuple[Stage, ...]
    export: str
    """The stage whose `out` is brought home."""
    code: Code
    machine: Machine = Machine()
    packages: dict[str, str] = field(default_factory=dict)
    """Distribution -> version, asserted on the node before the first stage."""
    sources: dict[str, Source] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    image: Image | None = None
    """None where the stages run in an environment of this machine."""
    environment: str | None = None
    """sha256 over the locked packages, the same in an image and out of it; None where nothing is locked."""
    secrets: dict[str, bool] = field(default_factory=dict)
    """Name of an environment variable -> whether the run cannot do without it. Never a value."""
    disk_bytes: int = 0
    """Peak size of checkpoints, models and exports, per node."""
    budget: Budget = Budget()
    bucket: Bucket | None = None
    """Where the run's results are kept while the machine may go away."""
    forced: tuple[str, ...] = ()
    """The checks that the user overruled (`--force`)."""
    format: int = FORMAT

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def settings_of(stage: Stage) -> dict[str, Any]:
    """What the stage finds in its `{config}`."""
    return {**stage.config, **({"steps": stage.steps} if stage.steps is not None else {})}


def to_json(plan: Plan) -> str:
    """The same plan gives the same bytes."""
    return json.dumps(dataclasses.asdict(plan), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> Plan:
    """Raises ValueError or TypeError with a sentence when the text is no plan of this format, or when something that it
    names is not there or would lie outside the run folder."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"this program reads plans of format {FORMAT}, not `{found}`")
    plan = _build(Plan, value)
    assert isinstance(plan, Plan)
    _check(plan)
    return plan


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _build(kind: Any, value: Any) -> Any:
    """A dataclass, and whatever it is made of, from plain JSON values."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        if not isinstance(value, dict) or value.keys() - hints.keys():
            raise ValueError(f"`{kind.__name__}` does not have {sorted(set(value) - set(hints)) if value else value!r}")
        return kind(**{name: _build(hints[name], item) for name, item in value.items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (tuple, dict) and not isinstance(value, list if origin is tuple else dict):
        raise ValueError(f"`{value!r}` is not of type {'list' if origin is tuple else 'table'}")
    if origin is tuple:
        return tuple(_build(inner[0], item) for item in value)
    if origin is dict:
        return {key: _build(inner[1], item) for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _build(inner[0], value)
    if kind is not Any and type(value) not in ((int, float) if kind is float else (kind,)):
        raise ValueError(f"`{str(value)[:40]}` is not of type {WORDS[kind]}")
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The dataclass's fields; reading them from its annotations takes longer than all else of a plan."""
    hints = typing.get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}


WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _check(plan: Plan) -> None:
    """Raises ValueError with the first of the plan's names that is no name, or that nothing has."""
    stages: list[str] = []
    for stage in plan.stages:
        if not stage.argv:
            raise ValueError(f"stage `{stage.name}` has no command")
        if absent := [one for one in stage.needs.values() if one not in stages]:
            raise ValueError(f"stage `{stage.name}` needs `{absent[0]}`, which no earlier stage makes")
        if stage.source is not None and stage.source not in plan.sources:
            raise ValueError(f"stage `{stage.name}` has the unknown source `{stage.source}`")
        stages.append(stage.name)
    if plan.export not in stages:
        raise ValueError(f"it exports `{plan.export}`, which is not a stage")
    files = [one.file for one in plan.inputs.values()]
    commits = [one.commit for one in plan.sources.values()]
    if odd := [one for one in (plan.run, *stages, *files, *commits) if not plain(one)]:
        raise ValueError(f"`{odd[0]}` names no file of the run folder")
