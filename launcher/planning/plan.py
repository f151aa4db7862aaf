"""Recipe + job + site + pins -> plan, where the parts of the recipe fit together. Pure: the same files in, the same
plan out, byte for byte."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.config.pins import MADE_HERE, Pins, is_local
from launcher.config.recipe import MOST, HubPin, Recipe, StageList, StageSpec
from launcher.errors import LaunchError, check_known, did_you_mean
from launcher.planning.settings import Change, changes_read, check_names, shared_settings, stage_settings
from launcher.runfolder.argv import PLACEHOLDER
from launcher.runfolder.done import inputs_of
from launcher.runfolder.plan import Bucket, Budget, Code, Image, Input, Machine, Model, Must, Plan, Source, Stage


@dataclass(frozen=True)
class Choice:
    """What the user chose on the command line."""

    run: str
    stages: str = "default"
    changes: Sequence[Change] = ()


@dataclass(frozen=True)
class World:
    """What was found outside the recipe: its lock, its code, the user's files, the machine, the budget."""

    pins: Pins
    code: Code
    inputs: Mapping[str, Input] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine)
    image: Image | None = None
    environment: str | None = None
    budget: Budget = field(default_factory=Budget)
    bucket: Bucket | None = None


def plan(recipe: Recipe, choice: Choice, world: World) -> Plan:
    """The complete plan. Raises LaunchError for anything in the recipe or the choice that does not fit together."""
    order = order_of(recipe, choice.stages)
    check_names(recipe, order.stages, choice.changes)
    settings = shared_settings(recipe, choice.changes)
    all_read(recipe, settings)
    changes_read(recipe, choice.stages, choice.changes)
    models = {**recipe.file.models, **recipe.change.models}
    stages = tuple(_stage(recipe, name, order, settings, models, choice, world) for name in order.stages)
    used = {stage.source for stage in stages if stage.source is not None}
    named = {name for stage in stages for name in inputs_of(stage, world.inputs)}
    return Plan(
        run=choice.run,
        recipe=recipe.name,
        stages=stages,
        export=order.names.get(order.export, order.export),
        code=world.code,
        machine=world.machine,
        packages=recipe.file.packages,
        sources={name: _source(recipe, name, world.pins) for name in sorted(used)},
        models={
            name: Model(pin.repo, pin.revision, world.pins.model(pin.repo, pin.revision))
            for name, pin in sorted(models.items())
        },
        inputs={name: file for name, file in sorted(world.inputs.items()) if name in named},
        image=world.image,
        environment=world.environment,
        secrets=recipe.file.secrets | recipe.change.secrets | keys(world.bucket),
        disk_bytes=_disk(recipe, order, settings, models) // world.machine.nodes,
        budget=world.budget,
        bucket=world.bucket,
    )


def _stage(
    recipe: Recipe,
    name: str,
    order: StageList,
    settings: Mapping[str, Any],
    models: Mapping[str, HubPin],
    choice: Choice,
    world: World,
) -> Stage:
    spec = recipe.file.stages[name]
    own, epochs = stage_settings(recipe, name, choice.changes)
    config = {use: settings[use] for use in spec.uses if use in settings} | own
    if spec.model:
        pin = models[spec.model]
        config |= {"repo": pin.repo, "revision": world.pins.model(pin.repo, pin.revision) or pin.revision}
    needs = {name: order.names.get(need, need) for name, need in spec.needs.items()}
    check_words(recipe, name, needs)
    steps = _steps(recipe, name, spec, settings, epochs, world.inputs) if spec.steps else None
    counted = {"step": {"equals": float(steps)}} if steps is not None else {}
    metrics = {name: {str(test): limit for test, limit in tests.items()} for name, tests in spec.must.metrics.items()}
    must = Must(tuple(spec.must.files), {**metrics, **counted})
    return Stage(name, tuple(spec.run), needs, config, must, spec.source, steps, spec.grace)


def _steps(
    recipe: Recipe,
    name: str,
    spec: StageSpec,
    settings: Mapping[str, Any],
    epochs: float | None,
    inputs: Mapping[str, Input],
) -> int:
    assert spec.steps and epochs
    batch = settings[spec.steps.batch]
    if not isinstance(batch, int) or batch < 1:
        raise LaunchError(f"setting `{spec.steps.batch}` is `{batch}`", "give a whole number from 1 on")
    rows = rows_used(recipe, spec.steps.rows, settings, inputs)
    steps = int(rows // batch * epochs)
    if steps > MOST:
        raise LaunchError(f"stage `{name}` would train {steps:,} steps", "give fewer `epochs`")
    if steps < 1:
        raise LaunchError(
            f"stage `{name}` would train 0 steps: {rows:,} rows, batch {batch:,}, epochs {epochs:g}",
            f"give more data, or a smaller `{spec.steps.batch}`",
        )
    return steps


def rows_used(recipe: Recipe, name: str, settings: Mapping[str, Any], inputs: Mapping[str, Input]) -> int:
    """Rows of the input that the stages see: the file's, or the recipe's assumption; no more than it samples."""
    spec = {**recipe.file.inputs, **recipe.change.inputs}[name]
    rows = inputs[name].rows if name in inputs else spec.rows
    limit = settings[spec.sample] if spec.sample else None
    if limit is None:
        return rows
    if not isinstance(limit, int) or limit < 1:
        raise LaunchError(f"setting `{spec.sample}` is `{limit}`", "give a whole number from 1 on; null is all rows")
    return min(rows, int(limit * spec.share))


def _source(recipe: Recipe, name: str, pins: Pins) -> Source:
    where = f"recipes/{recipe.family}/recipe.yaml"
    check_known(name, recipe.file.sources, f"`{where}`: unknown source `{name}`")
    pin = recipe.file.sources[name]
    commit = pins.source(pin.git, pin.ref)
    if commit is None:
        raise LaunchError(
            f"source `{name}` (`{pin.git}`, `{pin.ref}`) is not locked to a commit",
            f"run `launcher lock {recipe.name}` and commit the lock file",
        )
    return Source(pin.git, pin.ref, commit, pin.package, pin.folder)


def loose_pins(plan: Plan) -> list[str]:
    """The models whose revision may mean something else tomorrow."""
    return [
        f"{model.repo}@{model.revision}"
        for model in plan.models.values()
        if model.commit is None and model.repo != MADE_HERE and not is_local(model.repo)
    ]


def keys(bucket: Bucket | None) -> dict[str, bool]:
    """The names of the credentials without which the bucket cannot be used."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return dict.fromkeys(names, True) if bucket and bucket.url.startswith("s3://") else {}


def _disk(recipe: Recipe, order: StageList, settings: Mapping[str, Any], models: Mapping[str, HubPin]) -> int:
    """Bytes on disk at the worst moment: every stage's checkpoints and outputs, and one checkpoint being written."""
    total, writing = 0.0, 0.0
    for name in order.stages:
        disk = recipe.file.stages[name].disk
        if disk:
            weights = models[disk.model].parameters
            kept = _kept(disk.kept, settings) + 1 if disk.kept else 1
            total += weights * (disk.checkpoint * kept + disk.out)
            writing = max(writing, weights * disk.checkpoint)
    return int(total + writing)


def _kept(name: str, settings: Mapping[str, Any]) -> int:
    """How many checkpoints a setting keeps."""
    count = settings[name]
    if type(count) is not int or not 0 <= count <= MOST:
        raise LaunchError(f"setting `{name}` is `{count}`", "it says how many checkpoints stay: give a whole number")
    return count


def order_of(recipe: Recipe, name: str) -> StageList:
    """The stage list `name`, every stage of which comes after what it needs. Raises LaunchError."""
    where, stages = f"recipes/{recipe.family}/recipe.yaml", recipe.file.stages
    check_known(name, recipe.file.lists, f"`{where}` has no stage list `{name}`")
    order = recipe.file.lists[name]
    for position, stage in enumerate(order.stages):
        check_known(stage, stages, f"`{where}`: list `{name}` has the unknown stage `{stage}`")
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
    export = order.names.get(order.export, order.export)
    check_known(export, order.stages, f"`{where}`: list `{name}` exports `{order.export}`, which it does not run")
    return order


def check_words(recipe: Recipe, name: str, needs: Mapping[str, str]) -> None:
    """Raises LaunchError when the command of stage `name` has a placeholder that nothing stands for."""
    spec = recipe.file.stages[name]
    known = {"config", "work", "out", *needs, *(f"input.{file}" for file in recipe.file.inputs)}
    where = f"`recipes/{recipe.family}/recipe.yaml`"
    for argument in spec.run:
        for mark in PLACEHOLDER.findall(argument):
            check_known(mark, known, f"{where}: stage `{name}` has the unknown placeholder `{{{mark}}}`")


def all_read(recipe: Recipe, settings: Mapping[str, Any]) -> None:
    """A setting that nothing reads, and a use of a setting or model that there is not, are errors."""
    where = f"recipes/{recipe.family}/recipe.yaml"
    models = {**recipe.file.models, **recipe.change.models}
    read: set[str] = set()
    for name, file in {**recipe.file.inputs, **recipe.change.inputs}.items():
        if file.sample:
            check_known(file.sample, settings, f"`{where}`: input `{name}` uses the unknown setting `{file.sample}`")
            read.add(file.sample)
    for name, spec in recipe.file.stages.items():
        kept = [spec.disk.kept] if spec.disk and spec.disk.kept else []
        for use in [*spec.uses, *([spec.steps.batch] if spec.steps else []), *kept]:
            check_known(use, settings, f"`{where}`: stage `{name}` uses the unknown setting `{use}`")
            read.add(use)
        for model in filter(None, (spec.model, spec.disk.model if spec.disk else None)):
            check_known(model, models, f"`{where}`: stage `{name}` needs the unknown model `{model}`")
        if spec.steps:
            error = f"`{where}`: stage `{name}` counts the rows of the unknown input `{spec.steps.rows}`"
            check_known(spec.steps.rows, recipe.file.inputs, error)
    for name in settings:
        if name not in read:
            raise LaunchError(
                f"`{where}`: no stage reads the setting `{name}`", "list it under a stage's `uses`, or remove it"
            )
