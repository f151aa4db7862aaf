"""Makes preferences: of the responses to one instruction, the best by reward is chosen and the worst is rejected.

    python -m recipes.synthetic_instruct.prefer SETTINGS.json --responses ANSWERED [--responses ...] --judge MODEL \\
        --out OUT --work WORK

A pair is kept for the margin between the two, never for how high either is. OUT holds train.jsonl and eval.jsonl with
{"index", "instruction", "chosen", "rejected", "margin", ...}, report.md and report.json, and metrics.json.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Annotated, Any

from recipes.common.model.loading import DEVICES
from recipes.common.stage.command import Progress, StageError, run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import read_jsonl
from recipes.common.stage.settings import check_above, check_choice, check_least, check_share
from recipes.synthetic_instruct.drops import Drops
from recipes.synthetic_instruct.filter import rewards_of, write_splits

SHORT = 10
"""Characters that are too few for a response."""


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    device: str
    margin: float
    """The least difference of the two rewards, which are logits."""
    eval_share: float
    judged_at_once: int
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        check_above(self, 0, "margin")
        check_share(self, "(0, 1)", "eval_share")
        check_least(self, 1, "judged_at_once")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    responses: Annotated[list[Path], {"action": "append"}]
    judge: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    progress = Progress(inputs.work)
    rows = gather([list(read_jsonl(folder / "responses.jsonl")) for folder in inputs.responses])
    if not rows:
        raise StageError(
            f"`{inputs.responses[0] / 'responses.jsonl'}` has no rows to compare", "answer some instructions first"
        )
    drops = Drops(len(rows))
    several = [row for row in rows if len(row["texts"]) > 1]
    for row in rows:
        if len(row["texts"]) < 2:
            drops.drop(row, "fewer than two different responses")
    texts = [(row["instruction"], text) for row in several for text in row["texts"]]
    logits, numbers = rewards_of(texts, inputs.judge, settings, progress) if several else ([], {})
    left = iter(logits)
    rewards = [[next(left) for _ in row["texts"]] for row in several]
    pairs = [preference for preference in map(pair, several, rewards) if has_margin(preference, settings.margin, drops)]
    drops.kept = len(pairs)
    drops.check()
    write_text(inputs.out / "report.md", drops.table())
    print(drops.table())
    if not pairs:
        raise StageError(
            f"none of {len(rows):,} instructions has two responses {settings.margin:g} apart",
            "set `prefer.margin` lower, or use more `temperatures`",
        )
    sizes = write_splits(pairs, settings.eval_share, settings.seed, inputs.out)
    write_json(inputs.out / "report.json", drops.json())
    counts = {"rows": len(rows), "pairs": len(pairs), "dropped": len(rows) - len(pairs)}
    write_json(inputs.out / "metrics.json", counts | sizes | statistics(pairs) | numbers)


def gather(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each instruction with the different responses of all parts that are more than a few characters."""
    instructions: dict[int, dict[str, Any]] = {}
    for row in (row for part in parts for row in part):
        instruction = instructions.setdefault(
            row["index"], {"index": row["index"], "instruction": row["instruction"], "texts": []}
        )
        texts = (response["text"] for response in row["responses"])
        instruction["texts"] += [
            text for text in dict.fromkeys(texts) if len(text) > SHORT and text not in instruction["texts"]
        ]
    return [instructions[index] for index in sorted(instructions)]


def pair(row: dict[str, Any], rewards: list[float]) -> dict[str, Any]:
    """The row's best and worst response, which differ; of equal ones the first."""
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    return {
        "index": row["index"],
        "instruction": row["instruction"],
        "chosen": row["texts"][best],
        "rejected": row["texts"][worst],
        "chosen_reward": round(rewards[best], 4),
        "rejected_reward": round(rewards[worst], 4),
        "margin": round(rewards[best] - rewards[worst], 4),
    }


def has_margin(preference: dict[str, Any], margin: float, drops: Drops) -> bool:
    """Whether the two are far enough apart; counted when not."""
    if preference["margin"] < margin:
        drops.drop(preference, f"margin below {margin:g}")
        return False
    return True


def statistics(pairs: list[dict[str, Any]]) -> dict[str, float]:
    """Of margins and rewards, and how many words both sides have."""
    margins = [preference["margin"] for preference in pairs]
    word_counts = {
        side: fmean(len(preference[side].split()) for preference in pairs) for side in ("chosen", "rejected")
    }
    return {
        "margin_mean": round(fmean(margins), 4),
        "margin_sd": round(pstdev(margins), 4),
        "margin_min": min(margins),
        "chosen_reward_mean": round(fmean(preference["chosen_reward"] for preference in pairs), 4),
        "rejected_reward_mean": round(fmean(preference["rejected_reward"] for preference in pairs), 4),
        "chosen_words": round(word_counts["chosen"], 1),
        "rejected_words": round(word_counts["rejected"], 1),
    }


if __name__ == "__main__":
    run(main)
