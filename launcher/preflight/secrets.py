"""Are the credentials there that the run cannot do without? Only names are looked at, never values."""

from collections.abc import Mapping

from launcher.node.records import Plan
from launcher.preflight.finding import OK, REFUSED, Finding


def check(plan: Plan, env: Mapping[str, str]) -> Finding:
    absent = [name for name, required in plan.secrets.items() if required and not env.get(name)]
    if absent:
        return Finding("secrets", REFUSED, f"not set: {', '.join(absent)}", f"`export {absent[0]}=...`")
    unset = [name for name in plan.secrets if not env.get(name)]
    return Finding("secrets", OK, f"optional and not set: {', '.join(unset)}" if unset else "all set")
