"""Warnings while the stage runs: the two ways in which adversarial distillation fails without an error."""

from collections.abc import Callable, Iterable
from statistics import fmean

WINDOW, ENOUGH = 20, 5
"""Steps that are averaged, and how few of them say something."""

SEPARABLE = 0.95
GROWTH = 1.5


class Watch:
    """Warns once when something goes wrong, and again only after it was right in between."""

    def __init__(self, mode: str, warn: Callable[[str], None], past: Iterable[dict[str, float]]):
        """`past`: the metrics of the steps before a restart, in order."""
        self.mode, self.warn = mode, warn
        self.accuracies: list[float] = []
        self.lengths: list[float] = []
        self.standing: set[str] = set()
        for metrics in past:
            self._add(metrics)
        self.standing = set(self._problems())

    def see(self, metrics: dict[str, float]) -> None:
        """Adds a step's metrics, and warns of each new problem."""
        self._add(metrics)
        problems = self._problems()
        for name in problems.keys() - self.standing:
            self.warn(problems[name])
        self.standing = set(problems)

    def _add(self, metrics: dict[str, float]) -> None:
        if "critic/d_acc" in metrics:
            self.accuracies.append(metrics["critic/d_acc"])
        if "response_length" in metrics:
            self.lengths.append(metrics["response_length"])

    def _problems(self) -> dict[str, str]:
        problems = {}
        accuracy = fmean(self.accuracies[-WINDOW:]) if len(self.accuracies) >= ENOUGH else 0.0
        if accuracy > SEPARABLE:
            problems["d_acc"] = (
                f"d_acc is {accuracy:.2f}: the discriminator separates teacher and student by their format: "
                "the reward is not informative"
            )
        if self.mode == "adversarial" and len(self.lengths) >= 2 * ENOUGH:
            first, now = fmean(self.lengths[:ENOUGH]), fmean(self.lengths[-ENOUGH:])
            if now > GROWTH * first:
                problems["response_length"] = (
                    f"replies grew from {first:.0f} to {now:.0f} tokens: the actor may be exploiting the discriminator"
                )
        return problems
