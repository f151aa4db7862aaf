"""What a new machine needs to continue a run, computed from the plan and the events alone. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.runfolder.plan import Plan

CHECKPOINT, RESULT, DONE_RECORD, EXPORT, MANIFEST = KINDS = "checkpoint", "result", "proof", "export", "manifest"
"""`proof` is the word for a done record in bucket indexes and events of format 1."""
EVENTS = "events.jsonl"
LOGS = ("node.log", "stages/*/log.txt", "stages/*/attempts", "stages/*/work/progress.jsonl")
MIRRORED = (EVENTS, *LOGS)
"""Small files that are copied often: patterns below the run folder."""


@dataclass(frozen=True)
class Artifact:
    """A file or a folder of the run folder that is complete and will not change."""

    path: str
    kind: str
    stage: str | None
    step: int | None
    time: float
    """When it became complete: a path that is made again has a new time."""


def artifacts(plan: Plan, events: Iterable[Mapping[str, Any]]) -> tuple[Artifact, ...]:
    """What must be kept, in the order in which it is copied: a done record after its result, the manifest after the
    export. Earlier artifacts that are not in this answer are superseded once all of this answer is copied."""
    done, checkpoints, finished = _state(plan, events)
    read = needed(plan, done) - ({plan.export} if finished else set())  # `export` is the same files
    kept = []
    for name in (stage.name for stage in plan.stages if stage.name in done):
        if name in read:
            kept.append(Artifact(f"stages/{name}/out", RESULT, name, None, done[name]))
        kept.append(Artifact(f"stages/{name}/done.json", DONE_RECORD, name, None, done[name]))
    kept += [checkpoints[stage.name] for stage in plan.stages if stage.name in checkpoints and stage.name not in done]
    if finished:
        kept.append(Artifact("export", EXPORT, plan.export, None, finished))
        kept.append(Artifact("manifest.json", MANIFEST, None, None, finished))
    return tuple(kept)


def checkpoint_of(event: Mapping[str, Any]) -> Artifact:
    """The checkpoint that a `stage.checkpoint` event announces."""
    path = f"stages/{event['stage']}/work/{event['name']}"
    return Artifact(path, CHECKPOINT, event["stage"], event.get("step"), float(event.get("time") or 0))


def needed(plan: Plan, done: Collection[str]) -> set[str]:
    """The stages whose `out` is still read: by a stage that is not done, for the export, or at the end of the run."""
    readers = [stage for stage in plan.stages if stage.name not in done]
    return {need for stage in readers for need in stage.needs.values()} | {plan.export, plan.stages[-1].name}


def _state(
    plan: Plan, events: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, float], dict[str, Artifact], float | None]:
    """When each stage was done, each stage's newest checkpoint, and when the run was finished."""
    done: dict[str, float] = {}
    checkpoints: dict[str, Artifact] = {}
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
            for again in followers(plan, name):
                done.pop(again, None)
                if event.get("attempt") == 1:  # its earlier checkpoints were renamed
                    checkpoints.pop(again, None)
        elif kind == "stage.checkpoint":
            checkpoints[name] = checkpoint_of(event)
        elif kind == "stage.finished":
            done[name] = time
        elif kind == "stage.skipped":
            done.setdefault(name, time)
    return done, checkpoints, finished


def followers(plan: Plan, first: str) -> list[str]:
    """`first`, and every later stage that needs its result, directly or indirectly."""
    stages = [first]
    for stage in plan.stages:
        if stage.name not in stages and any(need in stages for need in stage.needs.values()):
            stages.append(stage.name)
    return stages
