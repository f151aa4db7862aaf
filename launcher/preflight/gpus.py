"""Has this machine the GPUs that the recipe wants?"""

from collections.abc import Sequence

from launcher.clouds.accelerators import MAJORS, capability
from launcher.format import size
from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.runfolder.plan import Plan

DRIVER = 580
"""The first branch that knows CUDA 13, which torch's wheels in locks/cuda.lock are built with."""
LEAST = 7.5
"""The oldest capability of CUDA 13."""


def check(plan: Plan, cards: Sequence[Card]) -> Finding:
    """Refused when it has none; whether they are enough is for `memory` to say."""
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


def kernels(plan: Plan, flash_attention: bool, cards: Sequence[Card], untested: Sequence[str] = ()) -> Finding:
    """Can the GPUs that the run may get run what is compiled into the image, and is the driver new enough for it?

    Refused when there are no kernels for one of them, or the driver here is older than its CUDA; unknown of a GPU that
    is not in the table, and of the driver on an experimental cloud. `cards`: those of this machine, for a run on it; of
    rented ones the table knows. `untested`: the experimental clouds."""
    kinds = {one: capability(one.partition(":")[0]) for one in plan.machine.accelerators}
    if cards:
        kinds = {card.name: card.capability for card in cards}
    if not kinds:
        return Finding("kernels", OK, "the recipe needs no GPU")
    known = {name: value for name, value in kinds.items() if value is not None}
    for name, value in known.items():
        wanted = "8.x, 9.x or 10.x, as flash-attn is compiled" if flash_attention else f"{LEAST} or more, as CUDA 13"
        if int(value) not in MAJORS if flash_attention else value < LEAST:
            says = f"{name} has compute capability {value}; the image wants {wanted}"
            return Finding("kernels", REFUSED, says, "take another GPU: `--gpus`")
    if old := next((card for card in cards if card.driver and int(card.driver.partition(".")[0]) < DRIVER), None):
        says = f"the driver here is {old.driver}; CUDA 13 in the image wants {DRIVER} or newer"
        return Finding("kernels", REFUSED, says, "update the NVIDIA driver, or run elsewhere")
    told = ", ".join(f"{name} {value}" for name, value in known.items())
    if absent := [name for name in kinds if name not in known]:
        says = f"not checked: GPU {' and '.join(absent)} is not in the table"
        return Finding(
            "kernels", UNKNOWN, says + (f"; compute capability: {told}" if told else ""), "watch the first steps"
        )
    if untested:
        says = (
            f"not checked: the NVIDIA driver on {' and '.join(untested)}; CUDA 13 in the image needs {DRIVER} or newer"
        )
        return Finding("kernels", UNKNOWN, f"{says}; compute capability: {told}", "watch the first steps")
    return Finding("kernels", OK, f"compute capability: {told}")
