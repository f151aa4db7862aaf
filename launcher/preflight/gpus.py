"""Has this machine the GPUs that the recipe wants?"""

from collections.abc import Sequence

from launcher.format import size
from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.runfolder.plan import Plan


def check(plan: Plan, cards: Sequence[Card]) -> Finding:
    """Refused when it has none; whether they are enough is for `memory` to say."""
    if not plan.machine.accelerators:
        return Finding("gpus", OK, "the recipe needs none")
    if not cards:
        return Finding(
            "gpus",
            REFUSED,
            f"`{plan.recipe}` wants {' or '.join(plan.machine.accelerators)}, and no NVIDIA driver answers here",
            f"`launcher rehearse {plan.recipe} --docker` runs it whole on this CPU",
        )
    return Finding("gpus", OK, f"{len(cards)} x {cards[0].name} with {size(min(card.memory for card in cards))} each")
