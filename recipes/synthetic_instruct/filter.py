"""Drops pairs that are short, foreign, repetitive, refused, harmful or empty, and duplicates; scores what is left.

    python -m recipes.synthetic_instruct.filter SETTINGS.json --pairs GENERATED --judge MODEL --out OUT --work WORK

OUT holds train.jsonl and eval.jsonl with {"index", "instruction", "response", "score", "reward"}, dropped.jsonl with
each other pair and its reason, report.md and report.json, whose counts add up to the pairs, and metrics.json.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from recipes.common.model.loading import DEVICES
from recipes.common.stage.command import Progress, StageError, run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import read_jsonl, write_jsonl
from recipes.common.stage.settings import check_choice, check_least, check_share
from recipes.synthetic_instruct.drops import Drops
from recipes.synthetic_instruct.quality import Limits, judge, repeats


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    device: str
    instruction_words: list
    """The smallest and the largest number."""
    response_words: list
    ascii_share: float
    repeated_word: float
    score: float
    similarity: float
    """Of two instructions, from which one of them goes."""
    keep: int
    """Where many more pass, so many stay: the best by reward."""
    slack: float
    """How many times `keep` may pass before any goes."""
    eval_share: float
    """Of the kept rows, that measure instead of being trained on."""
    judged_at_once: int
    seed: int

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        for name in ("instruction_words", "response_words"):
            value = getattr(self, name)
            if len(value) != 2 or not all(type(bound) is int for bound in value) or not 0 <= value[0] <= value[1]:
                raise ValueError(f"`{name}` is `{value}`, not a smallest and a largest number")
        check_least(self, 1, "keep", "judged_at_once")
        check_share(self, "[0, 1]", "ascii_share", "repeated_word", "score", "similarity")
        check_share(self, "(0, 1)", "eval_share")
        check_least(self, 1, "slack")

    @property
    def limits(self) -> Limits:
        low, high = (tuple(bounds) for bounds in (self.instruction_words, self.response_words))
        return Limits(low, high, self.ascii_share, self.repeated_word, self.score)


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    pairs: Path
    judge: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    progress = Progress(inputs.work)
    rows = list(read_jsonl(inputs.pairs / "pairs.jsonl"))
    if not rows:
        raise StageError(f"`{inputs.pairs / 'pairs.jsonl'}` has no rows to filter", "generate some first")
    drops = Drops(len(rows))
    good = different(passing_pairs(rows, settings.limits, drops), settings.similarity, drops)
    passed = len(good)
    if not good:
        write_text(inputs.out / "report.md", drops.table())
        print(drops.table())
        raise StageError(f"none of {len(rows):,} pairs passed", f"the reasons are in {inputs.out / 'report.md'}")
    pairs = [(row["instruction"], row["response"]) for row in good]
    rewards, numbers = rewards_of(pairs, inputs.judge, settings, progress)
    scored = [{**row, "reward": round(logit, 4)} for row, logit in zip(good, rewards, strict=True)]
    best = keep_best(scored, settings, drops)
    drops.kept = len(best)
    drops.check()
    sizes = write_splits(best, settings.eval_share, settings.seed, inputs.out)
    dropped = ({**row, "reason": reason} for reason, those in drops.reasons.items() for row in those)
    write_jsonl(inputs.out / "dropped.jsonl", sorted(dropped, key=lambda row: row["index"]))
    write_json(inputs.out / "report.json", drops.json())
    write_text(inputs.out / "report.md", drops.table())
    print(drops.table())
    counts = {"rows": len(rows), "kept": len(best), "dropped": len(rows) - len(best), "passed": passed}
    write_json(inputs.out / "metrics.json", counts | sizes | statistics(best) | numbers)


def passing_pairs(rows: list[dict[str, Any]], limits: Limits, drops: Drops) -> list[dict[str, Any]]:
    """The pairs that pass the six checks, with their scores; a pair counts under its first reason."""
    good = []
    for row in rows:
        verdict = judge(row["instruction"], row["response"], limits)
        row = {name: row[name] for name in ("index", "instruction", "response")} | {"score": verdict.score}
        if verdict.reasons:
            drops.drop(row, verdict.reasons[0])
        else:
            good.append(row)
    return good


def different(rows: list[dict[str, Any]], similarity: float, drops: Drops) -> list[dict[str, Any]]:
    """The first of all pairs whose instructions are the same, or nearly."""
    good = []
    for row, why in zip(rows, repeats((row["instruction"] for row in rows), similarity), strict=True):
        if why:
            drops.drop(row, why)
        else:
            good.append(row)
    return good


def rewards_of(
    pairs: list[tuple[str, str]], model: Path, settings: Any, progress: Progress
) -> tuple[list[float], dict[str, float]]:
    """The reward model's logit of each instruction with its response, and the stage's memory in numbers."""
    from recipes.synthetic_instruct.reward_model import Reward

    reward_model = Reward(model, settings.device)
    logits = reward_model.scores(pairs, settings.judged_at_once, lambda done: progress.step(done, len(pairs)))
    return logits, reward_model.numbers(settings.judged_at_once)


def write_splits(rows: list[dict[str, Any]], eval_share: float, seed: int, out: Path) -> dict[str, int]:
    """`out` holds the rows to train on and those to evaluate with, whose numbers are returned."""
    parts = dict(zip(("train", "eval"), split(rows, eval_share, seed), strict=True))
    for name, part in parts.items():
        write_jsonl(out / f"{name}.jsonl", part)
    return {f"{name}_rows": len(part) for name, part in parts.items()}


def keep_best(rows: list[dict[str, Any]], settings: Settings, drops: Drops) -> list[dict[str, Any]]:
    """All rows; or, when there are many more than wanted, the best of them."""
    if len(rows) <= settings.slack * settings.keep:
        return rows
    order = sorted(rows, key=lambda row: (-row["reward"], row["index"]))
    for row in order[settings.keep :]:
        drops.drop(row, f"not among the best {settings.keep:,}")
    return sorted(order[: settings.keep], key=lambda row: row["index"])


def split(
    rows: list[dict[str, Any]], eval_share: float, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows to train on and rows to evaluate with, at least one of each. Raises StageError if there are too few."""
    if len(rows) < 2:
        raise StageError(f"only {len(rows)} rows are left, and training and evaluation need one each", "generate more")
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    held = set(order[: min(len(rows) - 1, max(1, round(eval_share * len(rows))))])
    return [row for index, row in enumerate(rows) if index not in held], [rows[index] for index in sorted(held)]


def statistics(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means and standard deviations of scores and rewards."""
    numbers = {}
    for name in ("score", "reward"):
        values = [row[name] for row in rows]
        numbers |= {f"{name}_mean": round(fmean(values), 4), f"{name}_sd": round(pstdev(values), 4)}
    return numbers


if __name__ == "__main__":
    run(main)
