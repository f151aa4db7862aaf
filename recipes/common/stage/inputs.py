"""A command's inputs: its command line, read into a dataclass with a field for each argument.

@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    model: Path                                     # --model FOLDER
    before_profiles: Path | None = None             # [--before-profiles FOLDER]
    kind: str = argument(choices=KINDS)             # what argparse is told besides

inputs = read_inputs(__doc__, Inputs, argv)
"""

import argparse
import dataclasses
import sys
import typing
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

Inputs = TypeVar("Inputs")


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What every stage is given; those of a stage say what it needs besides."""

    settings: Path
    out: Path
    work: Path


def argument(positional: bool = False, **words: Any) -> Any:
    """A field of which argparse is told more: that it is positional, its `choices`, `action`, `help`, ..."""
    default = {"default": words.pop("default")} if "default" in words else {}
    return dataclasses.field(**default, metadata={"positional": positional, "words": words})


def read_inputs(about: str, kind: type[Inputs], argv: list[str] | None = None) -> Inputs:
    """The command line as a `kind`, whose `settings` come first, without a name. `about`: the command's docstring."""
    parser = argparse.ArgumentParser(prog=_program(), description=about.split("\n")[0])
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        words = {"type": _scalar(types[field.name])} | field.metadata.get("words", {})
        if field.name == "settings" or field.metadata.get("positional"):
            parser.add_argument(field.name, **words)
        else:
            left_out = {"required": True} if field.default is MISSING else {"default": field.default}
            parser.add_argument(f"--{field.name.replace('_', '-')}", **left_out, **words)
    return kind(**vars(parser.parse_args(argv)))


def _scalar(kind: Any) -> Any:
    """The type of one word: `Path` of `Path`, `Path | None` and `list[Path]`."""
    return next((part for part in typing.get_args(kind) if part is not type(None)), kind)


def _program() -> str:
    """How the user started this process."""
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name}" if spec else Path(sys.argv[0]).name
