"""A stage in the manner of a trainer: steps, checkpoints with a marker, resume, faults on demand."""

import argparse
import json
import os
import shutil
import signal
import sys
import time
import zlib
from pathlib import Path

KEPT = 2
"""Checkpoints: where the newest is damaged, there is one before it."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    for name in ("--numbers", "--before", "--work", "--out"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    config = json.loads(options.config.read_text())
    numbers = [json.loads(line)["n"] for line in options.numbers.read_text().splitlines()]
    before = int((options.before / "total.txt").read_text()) if options.before else config["start"]
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    saved = [found for path in options.work.glob("step_*/saved.json") if (found := whole(path))]
    step, total = max(saved, default=(0, before))
    print(f"from step {step}", flush=True)
    while step < config["steps"]:
        time.sleep(config["pause"])
        at = step * config["batch"] % len(numbers)
        total += sum(numbers[at : at + config["batch"]])
        step += 1
        report(options.work, {"step": step, "steps": config["steps"], "metrics": {"total": total}})
        if config["fault"] == f"exit@{step}":
            print("error: the fault was asked for\n\nhint: do not ask for it", file=sys.stderr)
            sys.exit(2)
        if config["fault"] == f"kill@{step}":
            os.kill(os.getpid(), signal.SIGKILL)
        eaten = []
        while config["fault"] == f"eat@{step}":
            eaten.append(b"x" * (16 << 20))
        while config["fault"] == f"hold@{step}" and not asked and not (options.work / "go").exists():
            time.sleep(0.01)
        if asked or step % config["save_every"] == 0:
            place = options.work / f"step_{step}"
            place.mkdir(exist_ok=True)
            (place / "saved.part").write_text(json.dumps([step, total, check(step, total)]))
            (place / "saved.part").replace(place / "saved.json")
            for old in sorted(options.work.glob("step_*"), key=lambda one: int(one.name[5:]))[:-KEPT]:
                shutil.rmtree(old)
            report(options.work, {"checkpoint": f"step_{step}", "step": step})
        if asked:
            sys.exit(33)
    done = config["steps"] - 1 if config["fault"] == "short" else config["steps"]
    value = float("nan") if config["fault"] == "nan" else 0 if config["fault"] == "still" else total - before
    if config["fault"] != "nothing":
        (options.out / "total.txt").write_text(str(total))
    (options.out / "metrics.json").write_text(json.dumps({"step": done, "change": value, "total": total}))


def whole(path: Path) -> tuple[int, int] | None:
    """Step and total of a checkpoint; None of one that is torn or damaged."""
    try:
        step, total, proof = json.loads(path.read_text())
    except (ValueError, TypeError):
        return None
    return (step, total) if proof == check(step, total) else None


def check(step: int, total: int) -> int:
    return zlib.crc32(f"{step} {total}".encode())


def report(work: Path, entry: dict) -> None:
    with open(work / "progress.jsonl", "a") as file:
        file.write(json.dumps({"time": time.time(), **entry}) + "\n")


main()
