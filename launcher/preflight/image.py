"""Is the recipe's image there, and is it the one that the plan names?"""

from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.runfolder.plan import Plan


def check(plan: Plan) -> Finding:
    """Refused when this machine's engine does not have it."""
    assert plan.image
    if plan.image.digest is None:
        return Finding(
            "image",
            REFUSED,
            f"the Docker engine here has no `{plan.image.name}`, or none answers",
            f"`make image RECIPE={plan.recipe}` builds it; `docker info` says whether an engine answers",
        )
    return Finding("image", OK, f"{plan.image.name}, {plan.image.digest.removeprefix('sha256:')[:12]}")


def in_registry(plan: Plan, registry: str | None) -> Finding:
    """Refused where a cluster could not fetch the image: it is in no registry, or is not what is baked into it."""
    assert plan.image
    where = f"`slurm.software: {plan.machine.software}`"
    if plan.image.overlay:
        error = f"{where}: code cannot be laid over an image on a cluster"
        return Finding("image", REFUSED, error, "commit and push the image again, or use `slurm.software: environment`")
    if registry is None and "/" not in plan.image.name:
        hint = f"`registry: ghcr.io/acme` in site.yaml, then `make image RECIPE={plan.recipe} PUSH=ghcr.io/acme`"
        return Finding("image", REFUSED, f"{where} wants an image from a registry, and site.yaml names none", hint)
    return Finding("image", OK, f"{plan.image.name}, by {plan.machine.software}")
