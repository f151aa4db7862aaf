"""Is the recipe's image there, and is it the one that the plan names?"""

from launcher.node.records import Plan
from launcher.preflight.finding import OK, REFUSED, Finding


def check(plan: Plan) -> Finding:
    """What is known of the image where it was looked for: on this machine's engine."""
    assert plan.image
    if plan.image.digest is None:
        return Finding(
            "image",
            REFUSED,
            f"the Docker engine here has no `{plan.image.name}`, or none answers",
            f"`make image RECIPE={plan.recipe}` builds it; `docker info` says whether an engine answers",
        )
    return Finding("image", OK, f"{plan.image.name}, {plan.image.digest.removeprefix('sha256:')[:12]}")
