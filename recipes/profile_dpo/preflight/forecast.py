"""The forecast: what a run will do, how long it takes and what it costs, from the measurements of an earlier run.

    python -m recipes.profile_dpo.preflight.forecast REQUEST.json

REQUEST holds `stages` (name and settings of each) and `measured`: for each finished stage of earlier runs, the newest
first, its `run`, `recipe`, `where`, `stage` and `metrics`. Prints the lines. A number that no run
has measured is `unknown`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from recipes.common.preflight.settings import Inputs
from recipes.common.stage.inputs import read_inputs
from recipes.common.trl.hyperparameters import schedule
from recipes.profile_dpo import bracket

UNKNOWN = "unknown"
Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Round:
    """The preferences of a round, and how its tournaments are played."""

    preferences: int
    """Wanted."""
    candidates: int
    """Profiles in a tournament."""
    orders: int = 1
    """In which each comparison is asked."""

    @property
    def tournaments(self) -> int:
        """As many as give so many preferences; exact where `candidates` is a power of two, else on average."""
        return math.ceil(self.preferences / bracket.expected_preferences(self.candidates))

    @property
    def comparisons(self) -> int:
        return self.tournaments * (self.candidates - 1)

    @property
    def calls(self) -> int:
        """Questions to the judge."""
        return self.comparisons * self.orders

    def batch_share(self, rounds: int) -> float:
        """The share of all questions that the first rounds have."""
        return sum(bracket.matches(self.candidates)[:rounds]) / (self.candidates - 1)


class Tokens(NamedTuple):
    """Of one question and its answer; or their price, in dollars for a million."""

    asked: float
    answered: float


def dollars(plan: Round, tokens: Tokens, price: Tokens, batched: int = 0) -> float:
    """What the judge's answers cost when the first rounds are sent as batches, at half the price."""
    whole = plan.calls * (tokens.asked * price.asked + tokens.answered * price.answered) / 1e6
    return whole * (1 - plan.batch_share(batched) / 2)


class Measurement(NamedTuple):
    """Numbers of one stage of an earlier run, and whose they are."""

    metrics: Mapping[str, float]
    of: str


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    request = json.loads(read_inputs(__doc__, Inputs, argv).request.read_text(encoding="utf-8"))
    print("\n".join(table({stage["name"]: stage["settings"] for stage in request["stages"]}, request["measured"])))


def table(settings: Settings, measured: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines; none for a list of stages without a tournament."""
    if not {"setup", "generate", "tournament"} <= settings.keys():
        return []
    setup, judge = settings["setup"], settings["tournament"]
    plan = Round(setup["preferences"], setup["candidates"], judge["orders"])
    judging, writing = newest("tournament", measured, judge["judge"]), newest("generate", measured)
    learning = newest("dpo", measured)
    both = " in both orders" if plan.orders == 2 else ""
    count = bracket.expected_preferences(plan.candidates)
    each = f"{count:.0f} preferences"
    if plan.candidates & (plan.candidates - 1):
        each = f"{count:.1f} preferences on average"
    lines = [
        ("tournament", f"{plan.candidates} profiles, {plan.candidates - 1} comparisons, {each}"),
        ("round", f"{plan.tournaments:,} tournaments for {plan.preferences:,} preferences"),
        ("judge", f"{plan.comparisons:,} comparisons{both}: {plan.calls:,} questions"),
        ("tokens", _tokens(plan, judging)),
        *_cost(plan, judging, judge),
        ("generation", _hours(plan.tournaments, writing, "seconds_an_author", plan.candidates)),
        ("judging", _hours(plan.calls, judging, "seconds_a_reply")),
    ]
    if training_settings := settings.get("dpo"):
        sizes = (training_settings[name] for name in ("batch", "accumulate", "epochs"))
        count = schedule(plan.preferences, *sizes, warmup=0, save_every=1).steps
        lines.append(("training", f"{count:,} steps, {_hours(count, learning, 'seconds_a_step')}"))
    sources = sorted({measurement.of for measurement in (judging, writing, learning) if measurement})
    lines.append(("measured by", "; ".join(sources) or "no run yet: `launcher rehearse` measures a tiny model's"))
    return [f"{name:<13}{text}" for name, text in lines]


def newest(stage: str, measured: Sequence[Mapping[str, Any]], judge: str | None = None) -> Measurement | None:
    """The newest that there is of a stage, whatever its round; for a judge's stage, of the same kind of judge."""
    for finished in measured:
        if finished["stage"].rstrip("0123456789") == stage and judge in (None, finished["settings"].get("judge")):
            return Measurement(finished["metrics"], f"{finished['run']} ({finished['recipe']}, {finished['where']})")
    return None


def _tokens(plan: Round, judging: Measurement | None) -> str:
    tokens = _of(judging)
    if tokens is None:
        return UNKNOWN
    return f"{plan.calls * tokens.asked:,.0f} in, {plan.calls * tokens.answered:,.0f} out"


def _cost(plan: Round, judging: Measurement | None, judge: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The service's bill, with none, one or two rounds sent as batches."""
    if judge["judge"] != "endpoint":
        return [("API cost", f"none: the judge is `{judge['judge']}`")]
    tokens = _of(judging)
    if tokens is None or judge["price_in"] is None or judge["price_out"] is None:
        why = "`price_in` and `price_out` are not set" if judge["price_in"] is None else "no tokens were counted yet"
        return [("API cost", f"{UNKNOWN}: {why}")]
    price = Tokens(judge["price_in"], judge["price_out"])
    return [
        (
            "API cost" if not batched else "",
            f"${dollars(plan, tokens, price, batched):.2f} with {batched} rounds batched"
            + (f", {batched} day{'s' if batched > 1 else ''} longer at most" if batched else ""),
        )
        for batched in range(3)
    ]


def _of(judging: Measurement | None) -> Tokens | None:
    asked, answered = (judging.metrics.get(f"tokens_{way}_a_reply") if judging else None for way in ("in", "out"))
    return Tokens(asked, answered) if asked and answered is not None else None


def _hours(count: int, by: Measurement | None, name: str, candidates: int | None = None) -> str:
    """How long it takes; `candidates` when what was measured grows with them."""
    seconds = by.metrics.get(name) if by else None
    if by is None or seconds is None:
        return f"{UNKNOWN}: nobody has measured how long it takes"
    if candidates:
        seconds *= candidates / (by.metrics.get("candidates") or candidates)
    return f"{_long(count * seconds / 3600)} at {seconds:.3g} s {name.removeprefix('seconds_').replace('_', ' ')}"


def _long(time: float) -> str:
    """Hours, in the unit that people would say."""
    if time >= 1:
        return f"{time:.2g} hours"
    return f"{time * 60:.0f} minutes" if time >= 1 / 30 else f"{time * 3600:.1f} seconds"


if __name__ == "__main__":
    main()
