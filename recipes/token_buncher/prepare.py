"""Makes the parquet files that the defence trains on and is measured by. Each data set is a command:

    python -m recipes.token_buncher.prepare beavertails --template_type chat --local_dir DIR [--source FILE]
    python -m recipes.token_buncher.prepare wmdp --type cyber --template_type chat --local_dir DIR [--cyber FILE]
    python -m recipes.token_buncher.prepare gsm8k --template_type chat --local_dir DIR [--train FILE --test FILE]
    python -m recipes.token_buncher.prepare wmdp_merge --beavertails_path DIR --wmdp_path DIR --outdir_path DIR
    python -m recipes.token_buncher.prepare beawmmix --root DIR [--template_type chat]

FILE holds rows in the hub's schema (JSONL, also in gzip, or parquet), or names a file of the hub at a commit, as those
in `recipes/token_buncher/hub` do, which are the defaults. DIR then holds train.parquet, test.parquet, report.json and
metrics.json. The same rows give the same bytes.
"""

import argparse
import dataclasses
import sys
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from recipes.common.data import hub
from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.settings import read_settings
from recipes.token_buncher.datasets import beavertails, gsm8k, mixture, wmdp
from recipes.token_buncher.datasets.data_set import Texts, save
from recipes.token_buncher.datasets.parquet import template_of
from recipes.token_buncher.datasets.source import HUB, locate

TOKENIZER = ("Qwen/Qwen2.5-3B-Instruct", "aa8e72537993ba99e69dfaafa59ed015b17504d1")
"""What prompts are measured with when no tokenizer is named."""

SOURCES = {
    "beavertails": {"source": HUB / "beavertails.jsonl"},
    "wmdp": {kind: HUB / f"wmdp_{kind}.jsonl" for kind in wmdp.TYPES},
    "gsm8k": {split: HUB / f"gsm8k_{split}.jsonl" for split in ("train", "test")},
}
"""Data set -> the arguments that name its files, with their defaults."""


def main(argv: list[str] | None = None) -> None:
    """Runs one command."""
    argv = sys.argv[1:] if argv is None else argv
    commands: dict[str, Callable[[argparse.ArgumentParser, list[str]], None]] = {
        **{name: partial(_prepare, name) for name in SOURCES},
        "wmdp_merge": _mix,
        "beawmmix": _beawmmix,
    }
    if not argv or argv[0] not in commands:
        error = f"`{argv[0]}` is not a data set" if argv else "no data set is named"
        raise Mistake(error, f"name one of `{'`, `'.join(commands)}`")
    parser = argparse.ArgumentParser(prog=f"python -m recipes.token_buncher.prepare {argv[0]}", allow_abbrev=False)
    commands[argv[0]](parser, argv[1:])


def _prepare(name: str, parser: argparse.ArgumentParser, argv: list[str]) -> None:
    data_set: Any = {"beavertails": beavertails, "wmdp": wmdp, "gsm8k": gsm8k}[name]
    add_flags(parser, data_set.Settings)
    _add_sources(parser, SOURCES[name])
    arguments = parser.parse_args(argv)
    settings = settings_of(arguments, data_set.Settings)
    texts = Texts(settings.template_type, _tokens(arguments))
    names = settings.types if name == "wmdp" else SOURCES[name]
    sources = {each: locate(getattr(arguments, each), arguments.revision, _cache(arguments)) for each in names}
    save(data_set.prepare(settings, sources, texts), texts, arguments.local_dir)


def _mix(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    add_flags(parser, mixture.Settings)
    _add_folders(parser)
    arguments = parser.parse_args(argv)
    if arguments.root:  # another spelling of beawmmix
        _concatenate(arguments)
        return
    if not (arguments.beavertails_path and arguments.wmdp_path and arguments.outdir_path):
        hint = "name all three, or `--root` for a plain concatenation"
        raise Mistake("`--beavertails_path`, `--wmdp_path` and `--outdir_path` are needed", hint)
    settings = settings_of(arguments, mixture.Settings)
    template = template_of(arguments.beavertails_path / "train.parquet")
    made = mixture.mix(settings, arguments.beavertails_path, arguments.wmdp_path)
    save(made, Texts(template, _tokens(arguments)), arguments.outdir_path)


def _beawmmix(parser: argparse.ArgumentParser, argv: list[str]) -> None:
    _add_folders(parser)
    _concatenate(parser.parse_args(argv))


def _concatenate(arguments: argparse.Namespace) -> None:
    """Without `--root`, as for wmdp_merge; with it, of its `beavertails-T` and `wmdp*-T` into its `beawmmix-T`."""
    kind, root = arguments.template_type, arguments.root
    first = arguments.beavertails_path or (root and root / f"beavertails-{kind}")
    others = [arguments.wmdp_path] if arguments.wmdp_path else sorted(root.glob(f"wmdp*-{kind}")) if root else []
    out = arguments.outdir_path or (root and root / f"beawmmix-{kind}")
    if not (first and out):
        hint = "name it, or `--beavertails_path`, `--wmdp_path` and `--outdir_path`"
        raise Mistake("`--root` is needed: the folder that holds the prepared data sets", hint)
    if not others:
        raise Mistake(f"`{root}` has no folder `wmdp*-{kind}`", f"prepare WMDP with `--template_type {kind}` into it")
    made = mixture.concatenate(first, others)
    save(made, Texts(made.report.template_type, _tokens(arguments)), out)


def _add_sources(parser: argparse.ArgumentParser, defaults: dict[str, Path]) -> None:
    for name, path in defaults.items():
        parser.add_argument(f"--{name}", type=Path, default=path, help="a file with rows, or that names one of the hub")
    parser.add_argument("--local_dir", type=Path, required=True, help="gets the parquet files and the report")
    parser.add_argument("--revision", help="of the hub's data set, in place of the commit that FILE names")
    _add_model(parser)


def _add_folders(parser: argparse.ArgumentParser) -> None:
    for name in ("root", "beavertails_path", "wmdp_path", "outdir_path"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--template_type", default="qwen", help="of the folders below --root; default: qwen")
    _add_model(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", type=Path, help=f"a model's folder; default: {TOKENIZER[0]} of the hub")
    parser.add_argument("--work", type=Path, help="keeps what is downloaded")


def _cache(arguments: argparse.Namespace) -> Path | None:
    """Where downloads are kept; None is the hub library's own folder."""
    return arguments.work / "hub" if arguments.work else None


def _tokens(arguments: argparse.Namespace) -> Tokens:
    if arguments.tokenizer:
        return Tokens(arguments.tokenizer)
    patterns = ("tokenizer*", "vocab.json", "merges.txt", "*.jinja")
    return Tokens(hub.snapshot(*TOKENIZER, _cache(arguments), patterns, ()))


Settings = TypeVar("Settings")


def add_flags(parser: argparse.ArgumentParser, kind: type) -> None:
    """The parser has `--config` and a flag for each field of `kind`, a dataclass whose fields have defaults."""
    parser.add_argument("--config", type=Path, help="a JSON file with settings; flags go before it")
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        parser.add_argument(f"--{field.name}", type=hints[field.name], help=f"default: {field.default}")


def settings_of(arguments: argparse.Namespace, kind: type[Settings]) -> Settings:
    """The settings from flags and file, with defaults for the rest. A Mistake for an invalid value."""
    known = read_settings(arguments.config, kind) if arguments.config else kind()
    flags = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return dataclasses.replace(known, **{name: value for name, value in flags.items() if value is not None})  # type: ignore[type-var]
    except ValueError as problem:
        raise Mistake(str(problem), "change that value") from None


if __name__ == "__main__":
    run(main)
