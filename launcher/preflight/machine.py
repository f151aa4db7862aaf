"""Does the run fit on the machine: on its GPUs, in their memory, on its disk?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.clouds.accelerators import CARDS, MAJORS, capability, gibibytes
from launcher.clouds.providers import provider
from launcher.config.recipe import Recipe
from launcher.config.site import HERE
from launcher.errors import FAILED
from launcher.format import size
from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.recipe import ask_about
from launcher.runfolder.plan import Plan, settings_of

DRIVER = 580
"""The first branch that knows CUDA 13, which torch's wheels in locks/cuda.lock are built with."""
LEAST = 7.5
"""The oldest capability of CUDA 13."""


def gpus(plan: Plan, cards: Sequence[Card]) -> Finding:
    """Has this machine the GPUs that the recipe wants?

    Refused when it has none; whether they are enough is for `memory` to say."""
    if not plan.machine.accelerators:
        return Finding("gpus", OK, "the recipe needs none")
    if not cards:
        return Finding(
            "gpus",
            REFUSED,
            f"no NVIDIA GPU found on this machine; `{plan.recipe}` needs {' or '.join(plan.machine.accelerators)}",
            f"`launcher rehearse {plan.recipe} --docker` runs it whole on this CPU",
        )
    return Finding("gpus", OK, f"{len(cards)} x {cards[0].name} with {size(min(card.memory for card in cards))} each")


def kernels(plan: Plan, flash_attention: bool, cards: Sequence[Card]) -> Finding:
    """Can the GPUs that the run may get run what is compiled into the image, and is the driver new enough for it?

    Refused when there are no kernels for one of them, or the driver here is older than its CUDA; unknown for a GPU that
    is not in the table, and of the driver on a Slurm cluster or an experimental cloud. `cards`: those of this machine,
    for a run on it; of rented ones the table knows."""
    kinds = {name: capability(name.partition(":")[0]) for name in plan.machine.accelerators}
    if cards:
        kinds = {card.name: card.capability for card in cards}
    if not kinds:
        return Finding("kernels", OK, "the recipe needs no GPU")
    known = {name: value for name, value in kinds.items() if value is not None}
    for name, value in known.items():
        needed = "8.x, 9.x or 10.x, for flash-attn" if flash_attention else f"{LEAST} or more, for CUDA 13"
        if int(value) not in MAJORS if flash_attention else value < LEAST:
            says = f"{name} has compute capability {value}; the image needs {needed}"
            return Finding("kernels", REFUSED, says, "take another GPU: `--gpus`")
    if old := next((card for card in cards if card.driver and int(card.driver.partition(".")[0]) < DRIVER), None):
        says = f"the driver here is {old.driver}; CUDA 13 in the image needs {DRIVER} or newer"
        return Finding("kernels", REFUSED, says, "update the NVIDIA driver, or run elsewhere")
    told = ", ".join(f"{name} {value}" for name, value in known.items())
    if absent := [name for name in kinds if name not in known]:
        says = f"not checked: GPU {' and '.join(absent)} is not in the table"
        return Finding(
            "kernels", UNKNOWN, says + (f"; compute capability: {told}" if told else ""), "watch the first steps"
        )
    if unseen := [cloud for cloud in plan.machine.cloud.split(",") if cloud not in HERE and not provider(cloud)]:
        says = f"not checked: the NVIDIA driver on {' and '.join(unseen)}; CUDA 13 needs {DRIVER} or newer"
        return Finding("kernels", UNKNOWN, f"{says}; compute capability: {told}", "watch the first steps")
    return Finding("kernels", OK, f"compute capability: {told}")


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


def memory(plan: Plan, recipe: Recipe, kinds: Sequence[Kind], root: Path) -> Finding:
    """Does every stage fit on the GPUs that the run may get? The recipe's own arithmetic, run here; it needs no GPU.

    Refused where the run may get a GPU that a stage does not fit on, with the bytes and what would help; unknown of
    a GPU that is not in the table of `clouds/accelerators.py`, and of a Slurm cluster, whose GPUs nobody has seen."""
    names = [kind.name for kind in kinds]
    absent = [] if set(names) - set(plan.machine.accelerators) else [*plan.machine.accelerators]
    absent = [name for name in absent if name not in names]
    says = f"not checked: GPU {' and '.join(absent)} is not in the table"
    if absent and not kinds:
        return Finding("memory", UNKNOWN, says, "watch the first steps")
    if not kinds:
        return Finding("memory", OK, "the recipe needs no GPU")
    if recipe.file.memory is None:
        return Finding("memory", UNKNOWN, "not known: the recipe has no `memory` command", "watch the first steps")
    worst = moments(plan, recipe, kinds, root)
    if isinstance(worst, Finding):
        return worst
    if not worst:
        return Finding("memory", OK, "no stage of this list keeps anything on a GPU")
    details = _table(worst)
    full = max(worst, key=lambda moment: moment.share)
    if full.share > 1:
        fit = [moment.kind.name for moment in worst if moment.share <= 1]
        return Finding("memory", REFUSED, _short(full), _helps(full, fit, plan, recipe, root), details)
    if full.share > TIGHT:
        return Finding("memory", WARNING, f"tight: {_short(full)}", "a lower batch or length makes room", details)
    if not absent and plan.machine.cloud == "slurm":
        says = "not checked: whether the cluster's GPUs are those of the job file"
    if absent or plan.machine.cloud == "slurm":
        return Finding("memory", UNKNOWN, says + f"; {_short(full)}", "watch the first steps", details)
    return Finding("memory", OK, _short(full), details=details)


def moments(plan: Plan, recipe: Recipe, kinds: Sequence[Kind], root: Path) -> list[Moment] | Finding:
    """The worst of each kind, in their order; none where no stage keeps anything on a GPU. A Finding where the recipe
    cannot say."""
    models = {**recipe.file.models, **recipe.change.models}
    request = {
        "stages": [{"name": stage.name, "settings": settings_of(stage)} for stage in plan.stages],
        "models": {
            name: {"parameters": model.parameters, "shape": model.shape.model_dump() if model.shape else None}
            for name, model in models.items()
        },
        "machines": [vars(kind) for kind in kinds],
    }
    answer = ask_about(recipe.file.memory or [], request, root)
    if answer.code == FAILED:
        return Finding("memory", UNKNOWN, f"not known: {answer.error}", answer.hint)
    if answer.code:
        return Finding("memory", REFUSED, f"the recipe's `memory` command fails: {answer.error}", "correct the setting")
    every: dict[str, list[Moment]] = {}
    for entry in json.loads(answer.out):
        kind = next(kind for kind in kinds if kind.name == entry["machine"])
        for role, parts in entry["phases"].items():
            every.setdefault(kind.name, []).append(Moment(kind, entry["stage"], role, parts, entry["relief"]))
    return [max(every[kind.name], key=lambda moment: moment.share) for kind in kinds] if every else []


def kinds_of(accelerators: Sequence[str], nodes: int) -> list[Kind]:
    """The GPUs of a job file, as `H100-SXM:8`, whose memory is known."""
    kinds = []
    for accelerator in accelerators:
        name, _, count = accelerator.partition(":")
        if (room := gibibytes(name)) is not None:
            kinds.append(Kind(accelerator, int(count or 1), nodes, room * 2**30))
    return kinds


def kind_of(cards: Sequence[Card]) -> Kind:
    """The GPUs of this machine; what fits on the smallest fits on all."""
    return Kind(f"{len(cards)} x {cards[0].name}", len(cards), 1, min(card.memory for card in cards))


def _short(moment: Moment) -> str:
    kind = moment.kind
    return f"{size(int(moment.bytes))} of {size(kind.bytes)} on {kind.name}, in {moment.stage} ({moment.role})"


def _table(worst: Sequence[Moment]) -> tuple[str, ...]:
    """A line for all the GPUs of which the same can be said."""
    lines: dict[str, list[str]] = {}
    for moment in worst:
        lines.setdefault(moment.text, []).append(moment.kind.name)
    return tuple(f"{' '.join(names)}: {text}" for text, names in lines.items())


def _helps(moment: Moment, fit: Sequence[str], plan: Plan, recipe: Recipe, root: Path) -> str:
    if moment.relief:
        options = " ".join(f"--set {moment.stage}.{name}={json.dumps(value)}" for name, value in moment.relief.items())
        return f"`{options}` makes it fit"
    if fit := fit or _smallest(moment.kind, plan, recipe, root):
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
    worst = moments(plan, recipe, others, root)
    fitting = [] if isinstance(worst, Finding) else [moment.kind for moment in worst if moment.share <= TIGHT]
    return [min(fitting, key=lambda kind: kind.gpus * kind.bytes).name] if fitting else []


GB = 10**9


def disk(plan: Plan, free: int | None) -> Finding:
    """Do the run's checkpoints fit on the disk they will be written to?

    Refused when they do not; unknown for a cluster's storage, and where nobody has seen that a cloud gives a machine
    the disk of the job file. `free`: bytes free where a local run would write; None for a rented machine, whose disk
    the job file states."""
    # what is free here, all nodes share; the job file's disk each has for itself
    need, each = (plan.disk_bytes * plan.machine.nodes, "") if free is not None else (plan.disk_bytes, " a node")
    have = free if free is not None else (plan.machine.disk_gb or 0) * GB
    if need == 0:
        return Finding("disk", OK, "disk use is negligible")
    if free is None and plan.machine.cloud == "slurm":
        says = f"not checked: the room on the cluster's storage; the run needs {size(need)}{each}"
        return Finding("disk", UNKNOWN, says, "look at your quota there")
    if free is None and plan.machine.disk_gb is None:
        return Finding(
            "disk",
            WARNING,
            f"the run needs {size(need)}{each}; the job file states no `disk_size`",
            "set `resources.disk_size` in the job file",
        )
    where = "here" if free is not None else "in the job file"
    if need > have:
        return Finding(
            "disk",
            REFUSED,
            f"the run needs {size(need)}{each} for checkpoints, {size(have)} are {where}",
            "give more disk, or keep fewer checkpoints (`--set keep_last=1`)",
        )
    rows = {cloud: provider(cloud) for cloud in plan.machine.cloud.split(",")} if free is None else {}
    if unseen := [cloud for cloud, row in rows.items() if row is None or row.no_disk]:
        says = f"not checked: whether {' and '.join(unseen)} gives a machine the {size(have)} of the job file"
        return Finding(
            "disk", UNKNOWN, f"{says}; the run needs {size(need)}{each}", "watch the disk of the first hours"
        )
    return Finding("disk", OK, f"{size(need)} of {size(have)} {where}")
