"""Puts the model a run starts from into a plain folder: from the hub, from this machine, or made on the spot.

    python -m recipes.common.model.fetch SETTINGS.json --out OUT --work WORK [--texts FILE ...]

Afterwards OUT holds the weights (safetensors), the configuration and the tokenizer as real files, and metrics.json.
The settings are {"repo": ..., "revision": ...}. `repo` is a hub repository, a folder (its name starts with `/`, `.`
or `~`), or `tiny`: a 2-layer model whose tokenizer is trained on the strings of the rows in `--texts`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

from recipes.common.checkpoint import weights_folder
from recipes.common.data import hub, rows
from recipes.common.data.hub import Source
from recipes.common.model import tiny
from recipes.common.stage import files
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.inputs import StageInputs, read_stage

MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
"""Weights without pickles, configuration, tokenizer; only at the top level of a repository."""

EXCLUDED = ("*/*", "consolidated*.safetensors")
"""`consolidated` files are the same weights once more, in Mistral's own layout."""

TEXT_ROWS = 1000
"""Rows read of each text file: plenty for a vocabulary of 512."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    texts: Annotated[list[Path], {"nargs": "+"}] = ()


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, source = read_stage(__doc__, Inputs, Source, argv)
    metrics = fetch_model(source, inputs.texts, inputs.out, inputs.work)
    files.write_json(inputs.out / "metrics.json", metrics)
    print(f"{source.repo}: {metrics['parameters']:,} parameters, {metrics['bytes']:,} bytes")


def fetch_model(source: Source, texts: list[Path], out: Path, work: Path) -> dict[str, Any]:
    """`out` holds the model's files; returns its parameters, bytes, repository and revision (a commit, or None)."""
    revision = None
    if source.repo == "tiny":
        if not texts:
            raise Mistake("`tiny` has no texts to train its tokenizer on", "add `--texts FILE`, JSONL or parquet")
        tiny.save(out, itertools.chain.from_iterable(map(strings, texts)))
    else:
        folder = source_folder(source, work, MODEL_FILES)
        revision = folder.name if source.on_hub else None
        link(folder, out)
    return model_numbers(source.repo, revision, out)


def source_folder(source: Source, work: Path, patterns: tuple[str, ...]) -> Path:
    """The model's folder: its own, or one named after the commit, below `work`, with the files of the hub."""
    if source.on_hub:
        return hub.snapshot(source.repo, source.revision or "main", work / "hub", patterns, EXCLUDED)
    folder = Path(source.repo).expanduser()
    if not folder.is_dir():
        raise Mistake(f"no folder `{source.repo}`", "a hub repository is written `owner/name`")
    return folder


def model_numbers(repo: str, revision: str | None, folder: Path) -> dict[str, Any]:
    """What metrics.json says of the model in the folder. Raises an error if a file of the model is missing."""
    paths = weights_folder.check(repo, folder)
    size = sum(path.stat().st_size for path in paths)
    return {"parameters": sum(map(weights_folder.parameters, paths)), "bytes": size, "repo": repo, "revision": revision}


def strings(path: Path) -> Iterator[str]:
    """Every string in the first rows of a JSONL or parquet file, however deep."""
    for location, _, value in itertools.islice(rows.read(path), TEXT_ROWS):
        if isinstance(value, rows.BadRow):
            raise Mistake(f"`{path}`: {location}: {value.text}", "correct this row, or leave it out")
        yield from _strings_in(value)


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(part)


def link(folder: Path, out: Path, patterns: tuple[str, ...] = MODEL_FILES) -> None:
    """`out` holds the files of `folder` that match `patterns`: hard links, or copies on another file
    system."""
    # The hub's library makes no folder for a repository without such files: `glob` then finds none.
    for path in sorted(folder.glob("*")):
        if not any(fnmatch(path.name, pattern) for pattern in patterns) or fnmatch(path.name, EXCLUDED[1]):
            continue
        files.link_or_copy(path, out / path.name)


if __name__ == "__main__":
    run(main)
