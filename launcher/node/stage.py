"""One stage of a run. It is skipped if its done record is valid, and executed otherwise. Exit code 0 is not enough: the
stage's results are checked before the done record is written."""

import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.node.limits import AGAIN, ASKED, Stop, problem_during
from launcher.node.process import Child, Gpus, environment
from launcher.runfolder.argv import arguments
from launcher.runfolder.done import fingerprint, read_done
from launcher.runfolder.events import Events, Tail
from launcher.runfolder.files import read_json, tree, write_json
from launcher.runfolder.paths import RunFolder, StageFolder
from launcher.runfolder.plan import Must, Plan, Stage, settings_of
from launcher.runfolder.problem import DONE, FAILED, INTERRUPTED, MISTAKE, Problem, closing_error, log_end
from launcher.runfolder.retention import needed

POLL = 0.1
"""Seconds between two looks at a running stage; progress is written to events.jsonl at most once in REPORT seconds."""
REPORT = 1.0
CONDITIONS = {
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
    "equals": lambda value, limit: value == limit,
    "at_least": lambda value, limit: value >= limit,
}
PHRASES = {"above": "above", "below": "below", "equals": "equal to", "at_least": "at least"}


@dataclass(frozen=True)
class Site:
    """Where a node program works: the run folder, the folder that holds `recipes/`, its lock, and what can stop it."""

    folder: RunFolder
    code: Path
    events: Events
    lock: int
    stop: Stop


def is_done(plan: Plan, stage: Stage, folder: RunFolder) -> bool:
    """Whether the stage is done by this plan. Raises Problem if another plan did it, or if its result is damaged and
    still needed."""
    own = folder.stage(stage.name)
    done = read_done(own.done)
    if done is None:
        return False
    again = f"`--redo {stage.name}` does the stage and all that follows again"
    if done["fingerprint"] != fingerprint(plan, stage):
        raise Problem(f"stage `{stage.name}` was done with other settings than this plan's", again, MISTAKE)
    done_stages = [earlier.name for earlier in plan.stages if folder.stage(earlier.name).done.exists()]
    for name, size in done["files"].items() if stage.name in needed(plan, done_stages) else ():
        path = own.out / name
        size_now = path.stat().st_size if path.is_file() else None
        if size_now != size:
            state = "is gone" if size_now is None else f"has {size_now:,} bytes"
            raise Problem(f"stage `{stage.name}` is done, but `{path}` {state} (it had {size:,})", again)
    return True


def execute(plan: Plan, stage: Stage, site: Site) -> None:
    """Executes the stage and writes its done record. Raises Problem if it fails."""
    own = site.folder.stage(stage.name)
    shutil.rmtree(own.out, ignore_errors=True)
    for folder in (own.work, own.out):
        folder.mkdir(parents=True, exist_ok=True)
    attempt = _attempts(own) + 1
    own.attempts.write_text(str(attempt))
    write_json(own.config, settings_of(stage))
    argv = arguments(plan, stage, site.folder)
    env = environment(plan, stage, site.folder, site.code, os.environ)
    began, logged = time.time(), own.log.stat().st_size if own.log.exists() else 0
    site.events.add("stage.started", stage=stage.name, attempt=attempt, steps=stage.steps, logged=logged)
    code, stopped = _watch(Child(argv, site.code, env, own.log, site.lock), stage, own, site)
    if code != DONE and (stopped or code == INTERRUPTED):
        raise problem_during(stopped or ASKED, stage.name, site.stop.limits, own.log)
    if code != DONE:
        raise _failure(stage, own, code, logged)
    metrics = read_metrics(own.out)
    if lacking := shortcomings(stage.must, own.out, metrics):
        hint = f"read {own.log}; the stage is not counted as done"
        raise Problem(f"stage `{stage.name}` ended with exit code 0, but {'; '.join(lacking)}", hint)
    done = {
        "stage": stage.name,
        "fingerprint": fingerprint(plan, stage),
        "attempt": attempt,
        "started": began,
        "finished": time.time(),
        "exit_code": code,
        "metrics": metrics,
        "files": tree(own.out),
    }
    write_json(own.done, done)
    site.events.add("stage.finished", stage=stage.name, attempt=attempt, seconds=round(time.time() - began, 3))


def _attempts(own: StageFolder) -> int:
    """How often the stage was started; 0 if the file with the number is missing or damaged."""
    text = own.attempts.read_bytes().strip() if own.attempts.exists() else b""
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _watch(child: Child, stage: Stage, own: StageFolder, site: Site) -> tuple[int, str | None]:
    """Waits for the command and writes its progress to the events. Returns its exit code, and why it was asked to
    stop."""
    tail = Tail(own.progress, own.progress.stat().st_size if own.progress.exists() else 0)
    asked = reported = 0.0
    why: str | None = None
    latest: dict[str, Any] | None = None
    step, logged = -1, 0
    gpus = Gpus()
    site.stop.note_progress()
    while True:
        code = child.poll()
        for line in tail.new():
            if isinstance(line.get("step"), int) and line["step"] > step:
                step = line["step"]
                site.stop.note_progress()
            if "metrics" in line:
                latest = line
            elif "checkpoint" in line:
                site.stop.note_progress()
                site.events.add("stage.checkpoint", stage=stage.name, name=line["checkpoint"], step=line.get("step"))
            elif "warning" in line:
                site.events.add("stage.warning", stage=stage.name, warning=line["warning"])
        if latest and (code is not None or time.monotonic() - reported >= REPORT):
            facts = {key: latest.get(key) for key in ("step", "steps", "metrics")}
            site.events.add("stage.progress", stage=stage.name, **facts)
            latest, reported = None, time.monotonic()
        if stage.steps is None and own.log.exists() and own.log.stat().st_size != logged:
            logged = own.log.stat().st_size  # for a stage without steps, output counts as progress
            site.stop.note_progress()
        if usage := gpus.new():
            site.events.add("run.gpus", stage=stage.name, **usage)
        if code is not None:
            gpus.close()
            return code, why
        if not why and (why := site.stop.reason()):
            asked = time.monotonic()
            child.stop()
        elif why and time.monotonic() - asked > stage.grace:
            child.kill()
        time.sleep(POLL)


def _failure(stage: Stage, own: StageFolder, code: int, logged: int) -> Problem:
    """Why the stage is not done. `logged` is the length of its log before this attempt."""
    free = shutil.disk_usage(own.path).free
    if free < 64 << 20:
        return Problem(
            f"stage `{stage.name}` failed and the disk under {own.path} is full ({free >> 20} MB free)",
            f"make room, then {AGAIN}",
        )
    if sentence := closing_error(log_end(own.log, logged)):
        return Problem(f"stage `{stage.name}`: {sentence[0]}", sentence[1], MISTAKE if code == MISTAKE else FAILED)
    how = f"was killed by signal {code - 128}" if 128 < code <= 128 + 64 else f"ended with exit code {code}"
    memory = " (9 is often the kernel's: out of memory)" if code == 137 else ""
    return Problem(f"stage `{stage.name}` {how}{memory}", f"read {own.log}; {AGAIN}")


def shortcomings(must: Must, out: Path, metrics: dict[str, Any]) -> list[str]:
    """A sentence for each demand of `must` that the result does not meet."""
    problems = []
    for pattern in must.files:
        files = [path for path in out.glob(pattern) if path.is_file()]
        if not files:
            problems.append(f"it wrote no file `{pattern}`")
        problems += [f"its file `{path.relative_to(out)}` is empty" for path in files if path.stat().st_size == 0]
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            problems.append(f"its metric `{name}` is {value}")
    for name, conditions in must.metrics.items():
        value = metrics.get(name)
        for condition, limit in conditions.items():
            if not isinstance(value, int | float):
                problems.append(f"it reports no number `{name}` (the recipe demands `{condition} {limit:g}`)")
            elif not CONDITIONS[condition](value, limit):
                problems.append(f"its metric `{name}` is {value:g}, not {PHRASES[condition]} {limit:g}")
    return problems


def read_metrics(out: Path) -> dict[str, Any]:
    """`{out}/metrics.json`; empty if it is missing or damaged."""
    try:
        value = read_json(out / "metrics.json")
    except OSError:  # a link to itself, or no right to read it
        return {}
    return value if isinstance(value, dict) else {}
