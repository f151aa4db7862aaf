"""A recipe's settings: its defaults, what the size changes, what the command line changes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import yaml

from launcher.config.recipe import MOST, Recipe, Rounds, StageSpec
from launcher.config.yaml import parse
from launcher.errors import LaunchError, check_known

Change = tuple[str, Any]
"""A dotted name (`train_batch`, `warmup.epochs`) and its new value."""
MARK = "{round}"
"""In a repeated stage's words, the number of its round, from 1 on. In a stage after the rounds, what a repeated stage's
name ends with: nothing for the first round, `2` for the second."""


def parse_change(text: str) -> Change:
    """`NAME=VALUE` of the command line, the value read as YAML. Raises LaunchError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise LaunchError(f"`--set {text}` must look like NAME=VALUE", "for example `--set train_batch=128`")
    try:
        return name.strip(), parse(value)
    except yaml.YAMLError:
        raise LaunchError(f"`--set {text}`: `{value}` is not valid YAML", "put the value in quotes") from None


def shared_settings(recipe: Recipe, changes: Sequence[Change]) -> dict[str, Any]:
    """The settings several stages share."""
    where = f"recipes/{recipe.family}/sizes/{recipe.size}.yaml"
    settings = dict(recipe.file.settings)
    for name, value in recipe.change.settings.items():
        settings[name] = _retyped(f"`{where}`: `settings.{name}`", name, value, settings)
    for name, value in changes:
        if "." not in name:
            known = [*settings, *_stage_names(recipe)]
            check_known(name, known, f"`--set {name}`: the recipe has no such setting")
            settings[name] = _retyped(f"`--set {name}`", name, value, settings)
    return settings


def stage_settings(recipe: Recipe, stage: str, changes: Sequence[Change]) -> tuple[dict[str, Any], float | None]:
    """The stage's own settings, and its epochs when it counts steps."""
    spec, where = recipe.file.stages[stage], f"recipes/{recipe.family}/sizes/{recipe.size}.yaml"
    change = recipe.change.stages.get(stage)
    settings = dict(spec.settings)
    for name, value in (change.settings if change else {}).items():
        settings[name] = _retyped(f"`{where}`: `stages.{stage}.settings.{name}`", name, value, settings)
    epochs = (change.epochs if change else None) or (spec.steps.epochs if spec.steps else None)
    for dotted, value in changes:
        owner, dot, name = dotted.partition(".")
        if not dot or owner != stage:
            continue
        if name == "epochs" and spec.steps:
            epochs = _retyped(f"`--set {dotted}`", name, value, {"epochs": 1.0})
            if not epochs or not 0 < epochs <= MOST:
                raise LaunchError(f"`--set {dotted}={value}`: epochs have to be more than 0", "give a number above 0")
        else:
            settings[name] = _retyped(f"`--set {dotted}`", name, value, {**_inherited(recipe, spec), **settings})
    return settings, epochs


def check_names(recipe: Recipe, stages: Sequence[str], changes: Sequence[Change]) -> None:
    """Raises LaunchError when a size speaks of a stage that there is not, or the command line of one not in `stages`,
    the chosen list."""
    for name in recipe.change.stages:
        where = f"recipes/{recipe.family}/sizes/{recipe.size}.yaml"
        check_known(name, recipe.file.stages, f"`{where}`: unknown stage `{name}`")
    for dotted in [name for name, _ in changes if "." in name]:
        owner = dotted.partition(".")[0]
        check_known(owner, recipe.file.stages, f"`--set {dotted}`: there is no stage `{owner}`")
        check_known(owner, stages, f"`--set {dotted}`: this run has no stage `{owner}`")


def changes_read(recipe: Recipe, name: str, changes: Sequence[Change]) -> None:
    """Raises LaunchError when a shared setting that the user changes reaches no stage of the list `name`."""
    chosen = {stage: recipe.file.stages[stage] for stage in recipe.file.lists[name].stages}
    sampled = {item.sample for item in {**recipe.file.inputs, **recipe.change.inputs}.values()}
    for key, _ in changes:
        if "." in key or key in sampled:
            continue
        own = [stage for stage, spec in chosen.items() if key in spec.settings]
        reads = [
            stage
            for stage, spec in chosen.items()
            if (key in spec.uses and stage not in own)
            or (spec.steps and spec.steps.batch == key)
            or (spec.disk and spec.disk.kept == key)
        ]
        if not reads:
            hint = f"`--set {own[0]}.{key}=VALUE`: the stage has its own" if own else "leave it out"
            raise LaunchError(f"`--set {key}`: no stage of list `{name}` reads it", hint)


def _inherited(recipe: Recipe, spec: StageSpec) -> dict[str, Any]:
    return {name: recipe.file.settings[name] for name in spec.uses if name in recipe.file.settings}


def _stage_names(recipe: Recipe) -> list[str]:
    return [f"{stage}.{name}" for stage, spec in recipe.file.stages.items() for name in spec.settings]


def _retyped(where: str, name: str, value: Any, known: dict[str, Any]) -> Any:
    """`value`, of the type the default has; a default of null allows any."""
    check_known(name, known, f"{where}: unknown setting `{name}`")
    default = known[name]
    if default is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
        raise LaunchError(
            f"{where} is `{value}`, not {kinds.get(type(default), type(default).__name__)}",
            f"the default is `{default}`",
        )
    return value


def nth(stage: str, number: int) -> str:
    """What a repeated stage is called in round `number`, from 1 on."""
    return f"{stage}{number}" if number > 1 else stage


def with_rounds(recipe: Recipe, name: str, times: int) -> Recipe:
    """The recipe in which the rounds of its list `name` are written out, `times` of them: stages `dpo`, `dpo2`, ...
    Raises LaunchError when it has none and is to do more than one."""
    order = recipe.file.lists.get(name)
    if order is None or order.rounds is None:
        if times > 1:
            raise LaunchError(
                f"`--rounds {times}`: `{recipe.family}` has no rounds in its stages `{name}`", "leave it out"
            )
        return recipe
    specs, rounds = recipe.file.stages, order.rounds
    if lacking := next((stage for stage in rounds.stages if stage not in order.stages or stage not in specs), None):
        raise LaunchError(
            f"`recipes/{recipe.family}/recipe.yaml`: list `{name}` repeats `{lacking}`, which it does not run",
            "`rounds.stages` are some of its `stages`",
        )
    first, end = order.stages.index(rounds.stages[0]), order.stages.index(rounds.stages[-1]) + 1
    every = [(stage, number) for number in range(1, times + 1) for stage in order.stages[first:end]]
    stages = {
        **specs,
        **{nth(stage, number): _in(specs[stage], rounds, number) for stage, number in every},
        **{stage: _after(specs[stage], rounds, times) for stage in order.stages[end:] if stage in specs},
    }
    changes = {
        nth(stage, number): recipe.change.stages[stage] for stage, number in every if stage in recipe.change.stages
    }
    names = [*order.stages[:first], *(nth(stage, number) for stage, number in every), *order.stages[end:]]
    export = nth(order.export, times) if order.export in rounds.stages else order.export
    lists = {**recipe.file.lists, name: order.model_copy(update={"stages": names, "export": export})}
    return replace(
        recipe,
        file=recipe.file.model_copy(update={"stages": stages, "lists": lists}),
        change=recipe.change.model_copy(update={"stages": {**recipe.change.stages, **changes}}),
    )


def _in(spec: StageSpec, rounds: Rounds, number: int) -> StageSpec:
    """A repeated stage: what it needs is of its own round, or what the round before has left in its place."""
    needs = {
        name: nth(rounds.later[need], number - 1)
        if number > 1 and need in rounds.later
        else nth(need, number)
        if need in rounds.stages
        else need
        for name, need in spec.needs.items()
    }
    return spec.model_copy(
        update={"needs": needs, "run": [argument.replace(MARK, str(number)) for argument in spec.run]}
    )


def _after(spec: StageSpec, rounds: Rounds, times: int) -> StageSpec:
    """A stage after the rounds: what it needs is of the last one; what it names with `{round}`, of each."""
    numbers = [str(number) if number > 1 else "" for number in range(1, times + 1)]
    needs: dict[str, str] = {}
    for name, need in spec.needs.items():
        if MARK in name:
            needs |= {name.replace(MARK, number): need.replace(MARK, number) for number in numbers}
        else:
            needs[name] = nth(need, times) if need in rounds.stages else need
    each = [argument.replace(MARK, number) for number in numbers for argument in spec.each]
    return spec.model_copy(update={"needs": needs, "run": [*spec.run, *each], "each": []})
