"""A model's own tokenizer and chat template, before the model itself is anywhere: what a sample of rows becomes.

A recipe's `texts` command (launcher: preflight) uses this; it needs transformers, and no torch.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from recipes.common.data.hub import Source, snapshot
from recipes.common.data.tokens import Tokens
from recipes.common.stage.command import Mistake
from recipes.common.stage.files import read_json
from recipes.common.stage.inputs import POSITIONAL, read_inputs

SAMPLE = 200
"""Rows that are rendered: enough for a share of some percent."""
MOST = 0.5
"""If a larger share of the rows is over a limit, the limit is taken for a slip."""
TOKENIZER_FILES = ("tokenizer*", "*.jinja", "special_tokens_map.json", "vocab.json", "merges.txt", "config.json")


@dataclass(frozen=True, kw_only=True)
class TemplateInputs:
    """What each family's command is given: the settings of the stage that prepares the rows, and of the model stage. A
    family adds what else it needs."""

    settings: Annotated[Path, POSITIONAL]
    model: Path


class Sample(NamedTuple):
    """Some rows as the model gets them."""

    rows: str
    """What they are, such as "reviews"."""
    lengths: list[int]
    """Tokens of each."""
    setting: str
    """The setting that limits them."""
    limit: int

    def __str__(self) -> str:
        over = f"{share(self.lengths, self.limit):.1%} over {self.setting}"
        return f"of {len(self.lengths)} {self.rows} {over}, longest {max(self.lengths):,} tokens"


Inputs = TypeVar("Inputs", bound=TemplateInputs)


def check_template(
    about: str,
    kind: type[Inputs],
    measure: Callable[[Inputs, Tokens], Iterable[Sample]],
    argv: list[str] | None = None,
) -> None:
    """A family's command: prints a line about the samples that `measure` takes with the model's tokenizer. A Mistake
    where most rows of a sample are over its limit. `about`: the command's docstring; `kind`: its inputs."""
    inputs = read_inputs(about, kind, argv)
    tokens = tokens_of(inputs.model)
    if tokens is None:
        print("the model and its chat template are made on the spot")
        return
    lines = []
    for sample in measure(inputs, tokens):
        if sample.lengths:
            demand(sample.lengths, sample.limit, sample.setting, MOST)
            lines.append(str(sample))
        else:
            lines.append(f"there are no {sample.rows}: the stage that prepares them will say why")
    print("; ".join(lines))


def tokens_of(config: Path) -> Tokens | None:
    """The tokenizer of the model that a model stage's settings name; None for one that is made on the spot. A Mistake
    where it cannot be read: a gated repository without its token, a folder without a chat template."""
    source = source_of(config)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    return None if source.repo == "tiny" else Tokens(tokenizer_folder(source))


def source_of(config: Path) -> Source:
    """The model that the settings of a model stage name."""
    settings = read_json(config)  # of which a stage that makes tiny models has more
    return Source(settings["repo"], settings.get("revision"))


def tokenizer_folder(source: Source) -> Path:
    """A folder with the model's tokenizer."""
    if source.on_hub:
        return snapshot(source.repo, str(source.revision), None, TOKENIZER_FILES, ())
    return Path(source.repo).expanduser()


def share(lengths: list[int], limit: int) -> float:
    """The part of the lengths that is over the limit."""
    return sum(length > limit for length in lengths) / len(lengths)


def demand(lengths: list[int], limit: int, name: str, most: float) -> None:
    """A Mistake when more than the share `most` of the rows is over the limit that the setting `name` states."""
    if (over := share(lengths, limit)) > most:
        raise Mistake(
            f"{over:.0%} of the rows looked at are over `{name}` {limit:,}; the longest has {max(lengths):,} tokens",
            f"set a larger `{name}`, or give shorter rows",
        )
