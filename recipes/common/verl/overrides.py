"""hydra's spelling of a configuration's values."""

from collections.abc import Mapping
from pathlib import Path


def overrides_of(values: Mapping[str, object]) -> list[str]:
    """`key=value` for each; paths and names in quotes, whatever characters they hold."""
    return [f"{key}={_quoted(value)}" for key, value in values.items()]


def _quoted(value: object) -> str:
    if isinstance(value, Path) or (isinstance(value, str) and not value.startswith("[")):
        return "'" + str(value).replace("'", "\\'") + "'"
    return str(value)
