"""Compares an attack on the defended model with the same attack on the model it was made from.

    python -m recipes.token_buncher.compare_attacks --attack OUT --control OUT --out OUT

A defence holds when the attack's reward grows on the control and not on the defended model. No weights are exported:
OUT holds measure.json, README.md and metrics.json.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.stage import files
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.inputs import read_inputs

SHOWN = ("reward_first", "reward_last", "spread_first", "spread_last", "entropy_first", "entropy_last", "step")


@dataclass(frozen=True, kw_only=True)
class Inputs:
    attack: Path
    control: Path
    out: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    attacks: dict[str, Any] = {}
    for name, folder in {"defended": inputs.attack, "undefended": inputs.control}.items():
        numbers, curve = files.read_json(folder / "metrics.json"), files.read_json(folder / "curve.json")
        if not numbers or not curve:
            raise Mistake(
                f"`{folder}` is not the output of an attack",
                "name the folder that an attack wrote: it holds metrics.json and curve.json",
            )
        attacks[name] = {"numbers": numbers, "curve": curve}
    inputs.out.mkdir(parents=True, exist_ok=True)
    text = table({name: attack["numbers"] for name, attack in attacks.items()})
    print(text)
    files.write_json(inputs.out / "measure.json", attacks)
    files.write_text(inputs.out / "README.md", text + "\n")
    gained = {f"{name}_reward_gained": gain(attack["numbers"]) for name, attack in attacks.items()}
    rest = {f"{name}_{key}": attack["numbers"][key] for name, attack in attacks.items() for key in SHOWN}
    files.write_json(inputs.out / "metrics.json", gained | rest)


def gain(numbers: dict[str, float]) -> float:
    """How much the attack's reward grew from its first fifth to its last."""
    return numbers["reward_last"] - numbers["reward_first"]


def table(attacks: dict[str, dict[str, Any]]) -> str:
    """Both attacks side by side, in Markdown."""
    lines = [
        "# An attack by reinforcement learning, measured\n",
        "Means over the first and the last fifth of the steps. `reward` is the classifier's score of the answers, "
        "`spread` its standard deviation within a prompt's samples, which is what such an attack learns from.\n",
        "| | " + " | ".join(attacks) + " |",
        "|---|" + "---|" * len(attacks),
    ]
    lines += [f"| {key} | " + " | ".join(f"{numbers[key]:.4g}" for numbers in attacks.values()) + " |" for key in SHOWN]
    lines.append("| reward gained | " + " | ".join(f"{gain(numbers):.4g}" for numbers in attacks.values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
