"""What a fresh machine would need to go on with a run: told from the plan and the events alone. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.runfolder.plan import Plan

CHECKPOINT, RESULT, PROOF, EXPORT, MANIFEST = "checkpoint", "result", "proof", "export", "manifest"
EVENTS = "events.jsonl"
LOGS = ("node.log", "stages/*/log.txt", "stages/*/attempts", "stages/*/work/progress.jsonl")
MIRRORED = (EVENTS, *LOGS)
"""Small files that are worth a copy whenever there is time: patterns below the run folder."""


@dataclass(frozen=True)
class Keep:
    """A file or a folder of the run folder that is complete, and will not change."""

    path: str
    kind: str
    stage: str | None
    step: int | None
    time: float
    """When it became complete: a path that was made anew has a new time."""


def keeps(plan: Plan, events: Iterable[Mapping[str, Any]]) -> tuple[Keep, ...]:
    """What is to be stored, in this order: a proof after its result, the manifest after the export. What an earlier
    answer held and this one does not is superseded, once all of this one is stored."""
    done, checkpoints, finished = _state(plan, events)
    wanted = needed(plan, done) - ({plan.export} if finished else set())  # `export` is the same files
    found = []
    for name in (stage.name for stage in plan.stages if stage.name in done):
        if name in wanted:
            found.append(Keep(f"stages/{name}/out", RESULT, name, None, done[name]))
        found.append(Keep(f"stages/{name}/done.json", PROOF, name, None, done[name]))
    found += [checkpoints[stage.name] for stage in plan.stages if stage.name in checkpoints and stage.name not in done]
    if finished:
        found.append(Keep("export", EXPORT, plan.export, None, finished))
        found.append(Keep("manifest.json", MANIFEST, None, None, finished))
    return tuple(found)


def needed(plan: Plan, done: Collection[str]) -> set[str]:
    """The stages whose `out` something still reads: a stage that is not done, the export, or whoever looks at the end
    of the run."""
    readers = [stage for stage in plan.stages if stage.name not in done]
    return {need for stage in readers for need in stage.needs.values()} | {plan.export, plan.stages[-1].name}


def _state(plan: Plan, events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, Keep], float | None]:
    """When each done stage was done, each stage's newest checkpoint, and when the run was finished."""
    done: dict[str, float] = {}
    checkpoints: dict[str, Keep] = {}
    finished: float | None = None
    names = {stage.name for stage in plan.stages}
    for event in events:
        kind, name, time = event.get("event"), event.get("stage"), float(event.get("time") or 0)
        if kind == "run.started":
            finished = None
        elif kind == "run.finished":
            finished = time
        elif name not in names:
            continue
        elif kind == "stage.started":
            for again in _followers(plan, name):
                done.pop(again, None)
                if event.get("attempt") == 1:  # whatever it had was set aside
                    checkpoints.pop(again, None)
        elif kind == "stage.checkpoint":
            path = f"stages/{name}/work/{event['name']}"
            checkpoints[name] = Keep(path, CHECKPOINT, name, event.get("step"), time)
        elif kind == "stage.finished":
            done[name] = time
        elif kind == "stage.skipped":
            done.setdefault(name, time)
    return done, checkpoints, finished


def _followers(plan: Plan, first: str) -> list[str]:
    """`first`, and every later stage that needs its result, directly or not."""
    found = [first]
    for stage in plan.stages:
        if stage.name not in found and any(need in found for need in stage.needs.values()):
            found.append(stage.name)
    return found
