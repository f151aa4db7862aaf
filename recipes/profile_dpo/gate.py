"""Decides which model is the current one: the new one, when it won often enough, or the one before.

    python -m recipes.profile_dpo.gate SETTINGS.json --before MODEL --before-profiles WRITTEN --new MODEL \\
        --new-profiles WRITTEN --evaluation EVALUATED --out OUT

OUT holds that model's files (the same bytes on disk), its profiles.jsonl, and metrics.json. A later round begins with
it.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from recipes.common.model.fetch import link
from recipes.common.stage.command import run
from recipes.common.stage.files import read_json, write_json
from recipes.common.stage.settings import read_settings


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    gate: float
    """The new model becomes the current one with a higher win rate than this."""

    def __post_init__(self) -> None:
        if not 0 <= self.gate < 1:
            raise ValueError(f"`gate` is `{self.gate}`, not from 0 to below 1")


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(prog="python -m recipes.profile_dpo.gate", description=__doc__.split("\n")[0])
    parser.add_argument("settings", type=Path)
    for name in ("--before", "--before-profiles", "--new", "--new-profiles", "--evaluation", "--out"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args(argv)
    gate = read_settings(args.settings, Settings).gate
    rate = read_json(args.evaluation / "metrics.json")["win_rate"]
    won = rate > gate
    model, profiles = (args.new, args.new_profiles) if won else (args.before, args.before_profiles)
    args.out.mkdir(parents=True, exist_ok=True)
    link(model, args.out)
    shutil.copyfile(profiles / "profiles.jsonl", args.out / "profiles.jsonl")
    before, own = (read_json(place / "metrics.json") for place in (args.before, model))
    numbers = {"repo": own["repo"], "revision": own["revision"], "trained": int(won or before.get("trained", 0))}
    write_json(args.out / "metrics.json", numbers | {"became_current": int(won), "win_rate": rate, "gate": gate})
    says = "the new model is the current one" if won else "the current model stays"
    print(f"win rate {rate:.1%}, gate {gate:.1%}: {says}")


if __name__ == "__main__":
    run(main)
