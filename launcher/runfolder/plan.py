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
    """What a stage must have produced to be done; exit code 0 is not enough."""

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
    """A file of the user that the run needs."""

    path: str
    """Its path on the laptop."""
    file: str
    """Its name below `inputs/` of the run folder."""
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True)
class Code:
    """The recipes' code: `tree` is the sha256 over names and contents below `folders`; `commit` is its git commit."""

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
    """The software of a run as one image. The node program compares `lock` and `code` with what the image says."""

    name: str
    """Its name for the engine or the cloud, such as `launcher-gad:cuda-0123456789ab`."""
    variant: str
    """cpu or cuda."""
    lock: str
    """sha256 over the locked packages and the Dockerfiles."""
    code: str
    """sha256 over the node program and the recipes' code."""
    digest: str | None = None
    """The registry's digest, or the engine's id; None before the image is built."""
    overlay: bool = False
    """Whether the working tree replaces the image's code (`--dirty`)."""


@dataclass(frozen=True)
class Bucket:
    """A folder in an object store. Its credentials are in the environment and nowhere else."""

    url: str
    """`s3://BUCKET/FOLDER`, or an rclone remote: `name:path`, `:backend,setting=value:path`."""
    endpoint: str | None = None
    """The address of an `s3://` store that is not Amazon's, such as `https://ACCOUNT.r2.cloudflarestorage.com`."""
    provider: str = "Other"
    """rclone's name for the provider: AWS, Cloudflare, Minio, ..., Other."""
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
    """The stage whose `out` is exported."""
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
    """Name of an environment variable -> whether the run needs it. Never a value."""
    disk_bytes: int = 0
    """Peak size of checkpoints, models and exports, per node."""
    budget: Budget = Budget()
    bucket: Bucket | None = None
    """Where the run's checkpoints and results are uploaded."""
    forced: tuple[str, ...] = ()
    """The checks that the user overruled (`--force`)."""
    format: int = FORMAT

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


def settings_of(stage: Stage) -> dict[str, Any]:
    """The content of the stage's `{config}`."""
    return {**stage.config, **({"steps": stage.steps} if stage.steps is not None else {})}


def to_json(plan: Plan) -> str:
    """The same plan gives the same bytes."""
    return json.dumps(dataclasses.asdict(plan), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> Plan:
    """Raises ValueError or TypeError with a sentence if the text is no plan of this format, or if the plan names
    something that does not exist or would be outside the run folder."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        version = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"this program reads plans of format {FORMAT}, not `{version}`")
    plan = _build(Plan, value)
    assert isinstance(plan, Plan)
    _check(plan)
    return plan


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _build(kind: Any, value: Any) -> Any:
    """A dataclass, and everything in it, from JSON values."""
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
        raise ValueError(f"`{str(value)[:40]}` is not of type {TYPE_NAMES[kind]}")
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of the dataclass's fields; reading them takes longer than all other work on a plan."""
    hints = typing.get_type_hints(kind)
    return {field_.name: hints[field_.name] for field_ in dataclasses.fields(kind)}


TYPE_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def _check(plan: Plan) -> None:
    """Raises ValueError for the first name in the plan that is invalid, or that nothing has."""
    stages: list[str] = []
    for stage in plan.stages:
        if not stage.argv:
            raise ValueError(f"stage `{stage.name}` has no command")
        if absent := [need for need in stage.needs.values() if need not in stages]:
            raise ValueError(f"stage `{stage.name}` needs `{absent[0]}`, which no earlier stage makes")
        if stage.source is not None and stage.source not in plan.sources:
            raise ValueError(f"stage `{stage.name}` has the unknown source `{stage.source}`")
        stages.append(stage.name)
    if plan.export not in stages:
        raise ValueError(f"it exports `{plan.export}`, which is not a stage")
    files = [data.file for data in plan.inputs.values()]
    commits = [source.commit for source in plan.sources.values()]
    if odd := [name for name in (plan.run, *stages, *files, *commits) if not plain(name)]:
        raise ValueError(f"`{odd[0]}` names no file of the run folder")
