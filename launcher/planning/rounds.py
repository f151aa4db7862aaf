"""Stages that a run does several times, each time with what the time before has made. Pure."""

from dataclasses import replace

from launcher.config.recipe import Recipe, Rounds, StageSpec
from launcher.errors import LaunchError

MARK = "{round}"
"""In a repeated stage's words, the number of its round, from 1 on. In a stage after the rounds, what a repeated stage's
name ends with: nothing for the first round, `2` for the second."""


def nth(stage: str, number: int) -> str:
    """What a repeated stage is called in round `number`, from 1 on."""
    return f"{stage}{number}" if number > 1 else stage


def repeated(recipe: Recipe, name: str, times: int) -> Recipe:
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
    if lacking := next((one for one in rounds.stages if one not in order.stages or one not in specs), None):
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
    return spec.model_copy(update={"needs": needs, "run": [word.replace(MARK, str(number)) for word in spec.run]})


def _after(spec: StageSpec, rounds: Rounds, times: int) -> StageSpec:
    """A stage after the rounds: what it needs is of the last one; what it names with `{round}`, of each."""
    numbers = [str(number) if number > 1 else "" for number in range(1, times + 1)]
    needs: dict[str, str] = {}
    for name, need in spec.needs.items():
        if MARK in name:
            needs |= {name.replace(MARK, one): need.replace(MARK, one) for one in numbers}
        else:
            needs[name] = nth(need, times) if need in rounds.stages else need
    each = [word.replace(MARK, one) for one in numbers for word in spec.each]
    return spec.model_copy(update={"needs": needs, "run": [*spec.run, *each], "each": []})
