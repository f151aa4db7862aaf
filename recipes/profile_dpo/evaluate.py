"""Lets the judge compare the new model's profiles of the authors who were held out with those of an earlier model.

    python -m recipes.profile_dpo.evaluate SETTINGS.json --new WRITTEN --current WRITTEN [--base WRITTEN] \\
        --judge MODEL --out OUT --work WORK

Reports, and decides nothing: OUT holds evaluation.json (every comparison), evaluation.md and metrics.json with the win
rate and its 95 % interval. A win is a win in both orders; orders that contradict each other are a tie, half a win.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.data import confidence
from recipes.common.stage.command import StageError, StopSignal, run
from recipes.common.stage.files import write_json, write_text
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.common.stage.journal import read_jsonl
from recipes.profile_dpo import prompts
from recipes.profile_dpo.judge.ask import Asking, open_asking, open_judge
from recipes.profile_dpo.judge.types import JudgeSettings, Question
from recipes.profile_dpo.judge.verdict import Bias, Shown, orders, result

WIN, TIE, LOSS = "win", "tie", "loss"
OLD, NEW = 0, 1
Profiles = list[dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """An author's two profiles; null where a model wrote none."""

    name: str
    """Whose profile the old one is, and the author."""
    abstracts: tuple[str, ...]
    old: str | None
    new: str | None

    @property
    def settled(self) -> str | None:
        """The outcome if no judge is needed: one profile is missing, or both are the same."""
        if self.old == self.new:
            return TIE
        if self.old is None or self.new is None:
            return LOSS if self.new is None else WIN
        return None


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    new: Path
    current: Path
    base: Annotated[Path | None, {"help": "the model that all began with, where `current` is another"}] = None
    judge: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    stop = StopSignal()
    inputs, settings = read_stage(__doc__, Inputs, JudgeSettings, argv)
    new = read(inputs.new)
    against = {"current": read(inputs.current)}
    if inputs.base and inputs.base != inputs.current:
        against["base"] = read(inputs.base)
    pairs = {name: pairs_of(name, old, new) for name, old in against.items()}
    total = settings.orders * sum(pair.settled is None for part in pairs.values() for pair in part)
    judge = open_judge(settings, inputs.judge, settings.batched_rounds > 0, inputs.work)
    bias = Bias()
    with open_asking(settings, inputs.work, total, stop) as asking:
        ends = {name: compare(part, asking, judge, bias) for name, part in pairs.items()}
    numbers: dict[str, Any] = {"authors": len(new), "unparsed": sum(row["profile"] is None for row in new)}
    for name, outcomes in ends.items():
        numbers |= {key if name == "current" else f"{name}_{key}": value for key, value in rate(outcomes).items()}
    numbers |= bias.numbers() | asking.answers.numbers(settings)
    write_json(inputs.out / "evaluation.json", ends)
    write_text(inputs.out / "evaluation.md", report(numbers))
    print(report(numbers))
    write_json(inputs.out / "metrics.json", numbers | judge.numbers())


def read(folder: Path) -> Profiles:
    """The profiles that a model wrote. Raises StageError if there are none."""
    rows = list(read_jsonl(folder / "profiles.jsonl"))
    if not rows:
        raise StageError(f"`{folder / 'profiles.jsonl'}` has no rows", "set `held_out` to 1 or more")
    return rows


def pairs_of(name: str, old: Profiles, new: Profiles) -> list[Pair]:
    """Both models' profiles of each author. Raises StageError if the authors differ."""
    if [row["unit"] for row in old] != [row["unit"] for row in new]:
        raise StageError("the two models wrote about different authors", "run the stages after `setup` again")
    return [
        Pair(f"{name}:{old_row['unit']}", tuple(old_row["abstracts"]), old_row["profile"], new_row["profile"])
        for old_row, new_row in zip(old, new, strict=True)
    ]


def compare(pairs: list[Pair], asking: Asking, judge: Any, bias: Bias) -> dict[str, str]:
    """How the new profile of each author did: win, tie or loss."""
    seed = asking.settings.seed
    orders_of = {
        pair.name: orders(pair.name, OLD, NEW, asking.settings.orders, seed) for pair in pairs if not pair.settled
    }
    questions = [question(pair, shown) for pair in pairs for shown in orders_of.get(pair.name, [])]
    answers = asking.settle(questions, judge) if questions else {}
    ends = {}
    for pair in pairs:
        if not (end := pair.settled):
            match = result(orders_of[pair.name], answers, seed, bias)
            end = TIE if not match.decided else (WIN if match.winner == NEW else LOSS)
        ends[pair.name] = end
    return ends


def question(pair: Pair, shown: Shown) -> Question:
    """Which of the two is better, in this order?"""
    texts = {OLD: str(pair.old), NEW: str(pair.new)}
    both = (texts[shown.first], texts[shown.second])
    return Question(shown.key, prompts.judge(pair.abstracts, *both), pair.abstracts, both)


def rate(ends: dict[str, str]) -> dict[str, float]:
    """Wins, ties, losses, and the share of wins with its interval."""
    counts = {kind: sum(outcome == kind for outcome in ends.values()) for kind in (WIN, TIE, LOSS)}
    share = confidence.share(counts[WIN] + counts[TIE] / 2, len(ends))
    return {
        "wins": counts[WIN],
        "ties": counts[TIE],
        "losses": counts[LOSS],
        "win_rate": round(share.value, 4),
        "win_low": round(share.low, 4),
        "win_high": round(share.high, 4),
    }


def report(numbers: dict[str, Any]) -> str:
    """What came out, in Markdown."""
    lines = ["| new model against | wins | ties | losses | win rate | 95 % interval |", "|---|---:|---:|---:|---:|---|"]
    for name, prefix in {"the current model": "", "the base": "base_"}.items():
        if f"{prefix}wins" in numbers:
            wins, ties, losses, value, low, high = (
                numbers[f"{prefix}{key}"] for key in ("wins", "ties", "losses", "win_rate", "win_low", "win_high")
            )
            lines.append(f"| {name} | {wins} | {ties} | {losses} | {value:.1%} | {low:.1%} to {high:.1%} |")
    judge = (
        f"Of {numbers['authors']:,} authors held out, the new model wrote no profile of {numbers['unparsed']:,}. "
        f"The judge preferred the first of two in {numbers['first_share']:.1%} of {numbers['answers']:,} answers, and "
        f"contradicted itself in {numbers['disagreement']:.1%} of {numbers['both']:,} comparisons, when they changed "
        "places."
    )
    return "\n".join([*lines, "", judge, ""])


if __name__ == "__main__":
    run(main)
