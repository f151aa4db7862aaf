"""Decides which model is the current one: the new one if its win rate is above the gate, or the one before.

    python -m recipes.profile_dpo.gate SETTINGS.json --before MODEL --before-profiles WRITTEN --new MODEL \\
        --new-profiles WRITTEN --evaluation EVALUATED --out OUT

OUT holds that model's files (the same bytes on disk), its profiles.jsonl, and metrics.json. A later round begins with
it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.inputs import POSITIONAL, read_stage
from recipes.common.stage.settings import check_share


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    gate: float
    """The new model becomes the current one with a higher win rate than this."""

    def __post_init__(self) -> None:
        check_share(self, "[0, 1)", "gate")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    settings: Annotated[Path, POSITIONAL]
    before: Path
    before_profiles: Path
    new: Path
    new_profiles: Path
    evaluation: Path
    out: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    rate = read_json(inputs.evaluation / "metrics.json")["win_rate"]
    won = rate > settings.gate
    model, profiles = (inputs.new, inputs.new_profiles) if won else (inputs.before, inputs.before_profiles)
    link(model, inputs.out)
    shutil.copyfile(profiles / "profiles.jsonl", inputs.out / "profiles.jsonl")
    before, current = (read_json(folder / "metrics.json") for folder in (inputs.before, model))
    numbers = {
        "repo": current["repo"],
        "revision": current["revision"],
        "trained": int(won or before.get("trained", 0)),
    }
    write_json(
        inputs.out / "metrics.json", numbers | {"became_current": int(won), "win_rate": rate, "gate": settings.gate}
    )
    decision = "the new model is the current one" if won else "the current model stays"
    print(f"win rate {rate:.1%}, gate {settings.gate:.1%}: {decision}")


if __name__ == "__main__":
    run(main)
