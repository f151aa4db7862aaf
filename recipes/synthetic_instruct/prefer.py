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
from recipes.common.stage.inputs import StageInputs, read_inputs
from recipes.common.stage.journal import read_jsonl, write_jsonl
from recipes.common.stage.settings import check_choice, check_least, read_settings
from recipes.synthetic_instruct.drops import Drops
from recipes.synthetic_instruct.filter import split

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
        if self.margin <= 0:
            raise ValueError(f"`margin` is `{self.margin}`, not above 0")
        if not 0 < self.eval_share < 1:
            raise ValueError(f"`eval_share` is `{self.eval_share}`, not between 0 and 1")
        check_least(self, 1, "judged_at_once")


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """What the command line names."""

    responses: Annotated[list[Path], {"action": "append"}]
    judge: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs = read_inputs(__doc__, Inputs, argv)
    settings, progress = read_settings(inputs.settings, Settings), Progress(inputs.work)
    rows = gather([list(read_jsonl(folder / "responses.jsonl")) for folder in inputs.responses])
    if not rows:
        raise StageError(
            f"`{inputs.responses[0] / 'responses.jsonl'}` has no rows to compare", "answer some instructions first"
        )
    drops = Drops(len(rows))
    several = [row for row in rows if has_two_texts(row, drops)]
    inputs.out.mkdir(parents=True, exist_ok=True)
    rewards, numbers = rewards_of(several, inputs.judge, settings, progress) if several else ([], {})
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
    train, held = split(pairs, settings.eval_share, settings.seed)
    write_jsonl(inputs.out / "train.jsonl", train)
    write_jsonl(inputs.out / "eval.jsonl", held)
    write_json(inputs.out / "report.json", drops.json())
    counts = {"rows": len(rows), "pairs": len(pairs), "dropped": len(rows) - len(pairs)}
    sizes = {"train_rows": len(train), "eval_rows": len(held)}
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


def has_two_texts(row: dict[str, Any], drops: Drops) -> bool:
    """Whether there are two responses to compare; counted when not."""
    if len(row["texts"]) < 2:
        drops.drop(row, "fewer than two different responses")
        return False
    return True


def rewards_of(
    rows: list[dict[str, Any]], model: Path, settings: Settings, progress: Progress
) -> tuple[list[list[float]], dict[str, float]]:
    """The reward of each of each row's texts, and the stage's memory in numbers."""
    from recipes.synthetic_instruct.reward_model import Reward

    reward_model = Reward(model, settings.device)
    pairs = [(row["instruction"], text) for row in rows for text in row["texts"]]
    logits = iter(reward_model.scores(pairs, settings.judged_at_once, lambda done: progress.step(done, len(pairs))))
    rewards = [[next(logits) for _ in row["texts"]] for row in rows]
    return rewards, reward_model.numbers(settings.judged_at_once)


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
