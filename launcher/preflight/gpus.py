"""Do the GPUs of this machine have room for what the recipe keeps on them?"""

from collections.abc import Sequence

from launcher.engine import Card
from launcher.node.records import Plan
from launcher.preflight.disk import shown
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding

TIGHT = 0.8
"""The share of a GPU's memory above which activations and the KV cache have little left."""


def check(plan: Plan, cards: Sequence[Card]) -> Finding:
    """Compares the weights, gradients and optimizer states of the largest stage with all the GPUs there are."""
    if not plan.machine.accelerators:
        return Finding("gpus", OK, "the recipe needs none")
    if not cards:
        return Finding(
            "gpus",
            REFUSED,
            f"`{plan.recipe}` wants {' or '.join(plan.machine.accelerators)}, and no NVIDIA driver answers here",
            f"`launcher rehearse {plan.recipe} --docker` runs it whole on this CPU",
        )
    room = sum(card.memory for card in cards)
    have = f"{len(cards)} x {cards[0].name} with {shown(room)} in all"
    need = f"weights, gradients and optimizer need {shown(plan.gpu_bytes)}"
    if plan.gpu_bytes > room:
        return Finding("gpus", REFUSED, f"{need}; here: {have}", "take a smaller size, or rent the job file's machine")
    if plan.gpu_bytes > TIGHT * room:
        return Finding("gpus", WARNING, f"{need}; here: {have}", "expect to lower batches and lengths")
    return Finding("gpus", OK, f"{need}; here: {have}")
