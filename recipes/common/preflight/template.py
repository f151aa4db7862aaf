"""A model's own tokenizer and chat template, before the model itself is anywhere: what a sample of rows becomes.

A recipe's `texts` command (launcher: preflight) uses this; it needs transformers, and no torch.
"""

import os
from pathlib import Path

from recipes.common.data.hub import Source, snapshot
from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json

SAMPLE = 200
"""Rows that are rendered: enough for a share of some percent."""
WANTED = ("tokenizer*", "*.jinja", "special_tokens_map.json", "vocab.json", "merges.txt", "config.json")


def tokens_of(config: Path) -> Tokens | None:
    """The tokenizer of the model that a model stage's settings name; None for one that is made on the spot. A Mistake
    where it cannot be had: a gated repository without its token, a folder without a chat template."""
    settings = read_json(config)  # of which a stage that makes tiny models has more
    source = Source(settings["repo"], settings.get("revision"))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if source.repo == "tiny":
        return None
    if source.on_hub:
        return Tokens(snapshot(source.repo, str(source.revision), None, WANTED, ()))
    return Tokens(Path(source.repo).expanduser())


def share(lengths: list[int], limit: int) -> float:
    """The part of the lengths that is over the limit."""
    return sum(one > limit for one in lengths) / len(lengths)


def demand(lengths: list[int], limit: int, name: str, most: float) -> None:
    """A Mistake when more than the share `most` of the rows is over the limit that the setting `name` states."""
    if (over := share(lengths, limit)) > most:
        raise Mistake(
            f"{over:.0%} of the rows looked at are over `{name}` {limit:,}; the longest has {max(lengths):,} tokens",
            f"a larger `{name}`, or shorter rows",
        )
