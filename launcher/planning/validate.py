"""Whether the parts of a recipe fit together: stages and their order, placeholders, settings, inputs."""

from collections.abc import Mapping
from typing import Any

from launcher.config.recipe import Recipe, StageList
from launcher.errors import LaunchError, did_you_mean
from launcher.runfolder.argv import PLACEHOLDER


def order_of(recipe: Recipe, name: str) -> StageList:
    """The stage list `name`, every stage of which comes after what it needs. Raises LaunchError."""
    where, stages = f"recipes/{recipe.family}/recipe.yaml", recipe.file.stages
    if name not in recipe.file.lists:
        raise LaunchError(f"`{where}` has no stage list `{name}`", did_you_mean(name, recipe.file.lists))
    order = recipe.file.lists[name]
    for position, stage in enumerate(order.stages):
        if stage not in stages:
            raise LaunchError(f"`{where}`: list `{name}` has the unknown stage `{stage}`", did_you_mean(stage, stages))
        earlier = order.stages[:position]
        if stage in earlier:
            raise LaunchError(f"`{where}`: list `{name}` has `{stage}` twice", "a stage runs once")
        if stages[stage].each:
            raise LaunchError(
                f"`{where}`: stage `{stage}` has words for `each` round, but list `{name}` has no `rounds` before it",
                "put them into its `run`, or give the list `rounds`",
            )
        for need in stages[stage].needs.values():
            if order.names.get(need, need) not in earlier:
                raise LaunchError(
                    f"`{where}`: stage `{stage}` needs `{need}`, which no earlier stage makes",
                    did_you_mean(need, [*earlier, *order.names]),
                )
    if order.names.get(order.export, order.export) not in order.stages:
        raise LaunchError(
            f"`{where}`: list `{name}` exports `{order.export}`, which it does not run",
            did_you_mean(order.export, order.stages),
        )
    return order


def check_words(recipe: Recipe, name: str, needs: Mapping[str, str]) -> None:
    """Raises LaunchError when the command of stage `name` has a placeholder that nothing stands for."""
    spec = recipe.file.stages[name]
    known = {"config", "work", "out", *needs, *(f"input.{one}" for one in recipe.file.inputs)}
    for word in spec.run:
        for found in PLACEHOLDER.findall(word):
            if found not in known:
                raise LaunchError(
                    f"`recipes/{recipe.family}/recipe.yaml`: stage `{name}` has the unknown placeholder `{{{found}}}`",
                    did_you_mean(found, known),
                )


def all_read(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """A setting that nothing reads, and a use of a setting or model that there is not, are errors."""
    where = f"recipes/{recipe.family}/recipe.yaml"
    models = {**recipe.file.models, **recipe.change.models}
    read: set[str] = set()
    for name, one in {**recipe.file.inputs, **recipe.change.inputs}.items():
        if one.sample and one.sample not in settings:
            raise LaunchError(
                f"`{where}`: input `{name}` uses the unknown setting `{one.sample}`", did_you_mean(one.sample, settings)
            )
        read |= {one.sample} if one.sample else set()
    for name, spec in recipe.file.stages.items():
        kept = [spec.disk.kept] if spec.disk and spec.disk.kept else []
        for use in [*spec.uses, *([spec.steps.batch] if spec.steps else []), *kept]:
            if use not in settings:
                raise LaunchError(
                    f"`{where}`: stage `{name}` uses the unknown setting `{use}`", did_you_mean(use, settings)
                )
            read.add(use)
        used = [spec.model, spec.disk and spec.disk.model]
        for model in [one for one in used if one]:
            if model not in models:
                raise LaunchError(
                    f"`{where}`: stage `{name}` wants the unknown model `{model}`", did_you_mean(model, models)
                )
        if spec.steps and spec.steps.rows not in recipe.file.inputs:
            raise LaunchError(
                f"`{where}`: stage `{name}` counts the rows of the unknown input `{spec.steps.rows}`",
                did_you_mean(spec.steps.rows, recipe.file.inputs),
            )
    for name in settings:
        if name not in read:
            raise LaunchError(
                f"`{where}`: no stage reads the setting `{name}`", "list it under a stage's `uses`, or remove it"
            )
