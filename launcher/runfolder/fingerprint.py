"""When is a stage's result still the result of this plan?"""

from typing import Any

from launcher.runfolder.plan import Plan, Stage, digest, settings_of


def fingerprint(plan: Plan, stage: Stage) -> str:
    """Equal for two plans whose `stage` would do the same work on the same things; sha256."""
    return digest(identity(plan, stage))


def identity(plan: Plan, stage: Stage) -> dict[str, Any]:
    """What `fingerprint` hashes, by part: the parts that differ say why two results do."""
    source = plan.sources.get(stage.source) if stage.source else None
    return {
        "argv": list(stage.argv),
        "config": settings_of(stage),
        "code": plan.code.tree,
        "packages": plan.packages,
        "source": source and {"git": source.git, "commit": source.commit, "folder": source.folder},
        "environment": plan.environment,
        "inputs": {name: plan.inputs[name].sha256 for name in inputs_of(stage, plan)},
        "needs": {name: fingerprint(plan, plan.stage(need)) for name, need in stage.needs.items()},
    }


def inputs_of(stage: Stage, plan: Plan) -> list[str]:
    """The inputs a stage's command names."""
    return [name for name in sorted(plan.inputs) if any(f"{{input.{name}}}" in word for word in stage.argv)]
