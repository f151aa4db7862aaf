"""A command's settings: from a JSON file that the plan wrote, from flags of the same names, or both."""

import argparse
import dataclasses
import typing
from pathlib import Path
from typing import TypeVar

from recipes.common.stage.command import Mistake
from recipes.common.stage.settings import read_settings

Settings = TypeVar("Settings")


def add_flags(parser: argparse.ArgumentParser, kind: type) -> None:
    """The parser has `--config` and a flag for each field of `kind`, a dataclass whose fields have defaults."""
    parser.add_argument("--config", type=Path, help="a JSON file with settings; flags go before it")
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        parser.add_argument(f"--{field.name}", type=hints[field.name], help=f"default: {field.default}")


def settings_of(given: argparse.Namespace, kind: type[Settings]) -> Settings:
    """What was said, by flag or file, and the defaults for the rest. A Mistake for a value that cannot be."""
    known = read_settings(given.config, kind) if given.config else kind()
    flags = {field.name: getattr(given, field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return dataclasses.replace(known, **{name: value for name, value in flags.items() if value is not None})  # type: ignore[type-var]
    except ValueError as problem:
        raise Mistake(str(problem), "change that value") from None
