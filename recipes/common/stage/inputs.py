"""A command's inputs: its command line as a dataclass with a field for each argument.

@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    model: Path                                           # --model FOLDER
    before_profiles: Path | None = None                   # [--before-profiles FOLDER]
    kind: Annotated[str, {"choices": ("a", "b")}]         # what argparse is told besides

inputs = read_inputs(__doc__, Inputs, argv)
inputs, settings = read_stage(__doc__, Inputs, Settings, argv)          # of a stage, with its settings
"""

import argparse
import dataclasses
import sys
import typing
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from recipes.common.stage.settings import read_settings

Inputs = TypeVar("Inputs")
Settings = TypeVar("Settings")

POSITIONAL: dict[str, Any] = {"positional": True}
"""In a field's annotation: the argument has no name on the command line."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What every stage is given; a stage adds what else it needs."""

    settings: Annotated[Path, POSITIONAL]
    out: Path
    work: Path


@dataclass(frozen=True, kw_only=True)
class TrainingInputs(StageInputs):
    """What a training is given: the model's folder, and the folder with the rows of an earlier stage."""

    model: Path
    data: Path


def read_inputs(about: str, kind: type[Inputs], argv: list[str] | None = None) -> Inputs:
    """The command line as a `kind`. `about`: the command's docstring."""
    parser = argparse.ArgumentParser(prog=_program(), description=about.split("\n")[0])
    types = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        scalar, options = _described(types[field.name])
        if options.pop("positional", False):
            parser.add_argument(field.name, type=scalar, **options)
        else:
            name, several = f"--{field.name.replace('_', '-')}", field.default == ()
            left_out = {"required": True} if field.default is MISSING else {"default": [] if several else field.default}
            parser.add_argument(name, type=scalar, **left_out, **options)
    return kind(**vars(parser.parse_args(argv)))


def read_stage(
    about: str, kind: type[Inputs], settings: type[Settings], argv: list[str] | None = None
) -> tuple[Inputs, Settings]:
    """A stage's command line as a `kind`, and its settings. The folders `out` and `work` exist."""
    inputs = read_inputs(about, kind, argv)
    values = read_settings(inputs.settings, settings)  # type: ignore[attr-defined]
    for folder in filter(None, (inputs.out, getattr(inputs, "work", None))):  # type: ignore[attr-defined]
        folder.mkdir(parents=True, exist_ok=True)
    return inputs, values


def resolve(inputs: Inputs) -> Inputs:
    """The same with absolute paths, for a stage whose other processes work elsewhere."""
    paths = {name: value.resolve() for name, value in vars(inputs).items() if isinstance(value, Path)}
    return dataclasses.replace(inputs, **paths)  # type: ignore[type-var]


def _described(kind: Any) -> tuple[Any, dict[str, Any]]:
    """The type of an argument (`Path` of `Path`, `Path | None` and `list[Path]`), and other options for argparse."""
    options: dict[str, Any] = {}
    for part in getattr(kind, "__metadata__", ()):
        options |= part
    plain = typing.get_args(kind)[0] if options else kind
    return next((part for part in typing.get_args(plain) if part is not type(None)), plain), options


def _program() -> str:
    """How the user started this process."""
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name}" if spec else Path(sys.argv[0]).name
