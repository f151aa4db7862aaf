"""Does every stage fit on the GPUs that the run may get? The recipe's own arithmetic, run here; it needs no GPU."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.clouds.accelerators import CARDS, MAJORS, gibibytes
from launcher.config.recipe import Recipe
from launcher.errors import FAILED
from launcher.format import size
from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.recipe_command import ask_about
from launcher.runfolder.plan import Plan, settings_of

CONTEXT = 2**30
"""Of each GPU: the driver's context, kernels and NCCL's buffers; as recipes/common/preflight/memory_fit.py has it."""
TIGHT = 0.92
"""The share of a GPU above which an estimate is too rough to promise anything."""


@dataclass(frozen=True)
class Kind:
    """GPUs that a run may get: `gpus` a node, `bytes` each."""

    name: str
    gpus: int
    nodes: int
    bytes: int


@dataclass(frozen=True)
class Moment:
    """The worst moment of a run on one kind of GPU: a stage, the role at work, and bytes by part."""

    kind: Kind
    stage: str
    role: str
    parts: Mapping[str, float]
    relief: Mapping[str, Any] | None

    @property
    def bytes(self) -> float:
        return sum(self.parts.values()) + CONTEXT

    @property
    def share(self) -> float:
        return self.bytes / self.kind.bytes

    @property
    def text(self) -> str:
        told = ", ".join(
            f"{name} {size(int(amount))}" for name, amount in sorted(self.parts.items(), key=lambda p: -p[1])
        )
        return f"{self.stage} ({self.role}) {size(int(self.bytes))} of {size(self.kind.bytes)}: {told}"


def check(plan: Plan, recipe: Recipe, kinds: Sequence[Kind], root: Path) -> Finding:
    """Refused where the run may get a GPU that a stage does not fit on, with the bytes and what would help; unknown of
    a GPU that is not in the table of `clouds/accelerators.py`."""
    names = [kind.name for kind in kinds]
    absent = [] if set(names) - set(plan.machine.accelerators) else [*plan.machine.accelerators]
    absent = [name for name in absent if name not in names]
    says = f"not checked: GPU {' and '.join(absent)} is not in the table"
    if absent and not kinds:
        return Finding("memory", UNKNOWN, says, "watch the first steps")
    if not kinds:
        return Finding("memory", OK, "the recipe needs no GPU")
    if recipe.file.memory is None:
        return Finding("memory", WARNING, "not known: the recipe has no `memory` command", "watch the first steps")
    worst = moments(plan, recipe, kinds, root)
    if isinstance(worst, Finding):
        return worst
    if not worst:
        return Finding("memory", OK, "no stage of this list keeps anything on a GPU")
    details = _table(worst)
    full = max(worst, key=lambda one: one.share)
    if full.share > 1:
        fit = [one.kind.name for one in worst if one.share <= 1]
        return Finding("memory", REFUSED, _short(full), _helps(full, fit, plan, recipe, root), details)
    if full.share > TIGHT:
        return Finding("memory", WARNING, f"tight: {_short(full)}", "a lower batch or length makes room", details)
    if absent:
        return Finding("memory", UNKNOWN, says + f"; {_short(full)}", "watch the first steps", details)
    return Finding("memory", OK, _short(full), details=details)


def moments(plan: Plan, recipe: Recipe, kinds: Sequence[Kind], root: Path) -> list[Moment] | Finding:
    """The worst of each kind, in their order; none where no stage keeps anything on a GPU. A Finding where the recipe
    cannot say."""
    found = _asked(plan, recipe, kinds, root)
    if isinstance(found, Finding) or not found:
        return found
    return [max((one for one in found if one.kind == kind), key=lambda one: one.share) for kind in kinds]


def kinds_of(accelerators: Sequence[str], nodes: int) -> list[Kind]:
    """The GPUs of a job file, as `H100-SXM:8`, whose memory is known."""
    found = []
    for one in accelerators:
        name, _, count = one.partition(":")
        if (room := gibibytes(name)) is not None:
            found.append(Kind(one, int(count or 1), nodes, room * 2**30))
    return found


def kind_of(cards: Sequence[Card]) -> Kind:
    """The GPUs of this machine; what fits on the smallest fits on all."""
    return Kind(f"{len(cards)} x {cards[0].name}", len(cards), 1, min(card.memory for card in cards))


def _asked(plan: Plan, recipe: Recipe, kinds: Sequence[Kind], root: Path) -> list[Moment] | Finding:
    models = {**recipe.file.models, **recipe.change.models}
    request = {
        "stages": [{"name": stage.name, "settings": settings_of(stage)} for stage in plan.stages],
        "models": {
            name: {"parameters": one.parameters, "shape": one.shape.model_dump() if one.shape else None}
            for name, one in models.items()
        },
        "machines": [vars(kind) for kind in kinds],
    }
    said = ask_about(recipe.file.memory or [], request, root)
    if said.code == FAILED:
        return Finding("memory", WARNING, f"not known: {said.error}", said.hint)
    if said.code:
        return Finding("memory", REFUSED, f"the recipe's `memory` command fails: {said.error}", "correct the setting")
    by_name = {kind.name: kind for kind in kinds}
    return [
        Moment(by_name[one["machine"]], one["stage"], role, parts, one["relief"])
        for one in json.loads(said.out)
        for role, parts in one["phases"].items()
    ]


def _short(one: Moment) -> str:
    return f"{size(int(one.bytes))} of {size(one.kind.bytes)} on {one.kind.name}, in {one.stage} ({one.role})"


def _table(worst: Sequence[Moment]) -> tuple[str, ...]:
    """A line for all the GPUs of which the same can be said."""
    lines: dict[str, list[str]] = {}
    for one in worst:
        lines.setdefault(one.text, []).append(one.kind.name)
    return tuple(f"{' '.join(names)}: {text}" for text, names in lines.items())


def _helps(one: Moment, fit: Sequence[str], plan: Plan, recipe: Recipe, root: Path) -> str:
    if one.relief:
        words = " ".join(f"--set {one.stage}.{name}={json.dumps(value)}" for name, value in one.relief.items())
        return f"`{words}` makes it fit"
    if fit := fit or _smallest(one.kind, plan, recipe, root):
        return f"`--gpus {','.join(fit)}`: there it fits"
    return "more or larger GPUs (`--gpus NAME:COUNT`), or a smaller size"


def _smallest(kind: Kind, plan: Plan, recipe: Recipe, root: Path) -> list[str]:
    """Of the GPUs in the table, so many of a kind as one machine has, those with the least memory that is enough."""
    others = [
        Kind(f"{card.name}:{count}", count, kind.nodes, card.gibibytes * 2**30)
        for count in (1, 2, 4, 8)
        for card in CARDS
        if count >= kind.gpus and int(card.capability) in MAJORS
    ]
    found = moments(plan, recipe, others, root)
    fitting = [] if isinstance(found, Finding) else [one.kind for one in found if one.share <= TIGHT]
    return [min(fitting, key=lambda one: one.gpus * one.bytes).name] if fitting else []
