"""`python -m tests SUITE...`: runs the lanes of one or more suites beside each other, shows how far they are, and ends
with one line that counts tests. What a lane prints is in .tests/LANE.log."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.lanes import SUITES, Lane
from tests.support.apt import PACKAGES, install
from tests.support.chance import SEED
from tests.support.engine import running
from tests.support.patience import Deadline, patience, slowness

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".tests"
EVERY = 30.0
"""Seconds between two lines that say how far the tests are."""
SILENT = 2400
"""Seconds of an idle machine in which a lane tells of no test before it is ended: the longest test takes a third."""
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the tests, and their lanes with them."""
NOTHING_CHOSEN = 5
"""pytest's exit code where no test was chosen."""


@dataclass
class Run:
    """A lane that has begun."""

    lane: Lane
    process: "subprocess.Popen[bytes]"
    began: float
    tests: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})
    seconds: float = 0.0
    """How long it took; 0 while it runs."""
    read: int = 0
    """How much of its events was read."""
    heard: float = field(default_factory=time.monotonic)
    """When it last told of a test."""

    @property
    def log(self) -> Path:
        return LOGS / f"{self.lane.name}.log"

    @property
    def done(self) -> int:
        return sum(self.counts.values())

    def left(self, now: float, slow: float) -> float:
        """Seconds that it still takes, by the share of its tests that are done or by what it should take."""
        whole, taken = self.lane.seconds * slow, now - self.began
        if self.tests >= 100 and self.done > self.tests / 10:
            return taken * (self.tests - self.done) / self.done
        return max(whole - taken, 5.0)


def main() -> None:
    arguments, lanes = _arguments()
    sys.stdout.reconfigure(line_buffering=True)
    for number in ENDS:  # a shell starts background jobs with SIGINT ignored; who ignores SIGHUP means it
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    LOGS.mkdir(exist_ok=True)
    last = LOGS / "seed"
    seed = int(last.read_text()) if arguments.failed and last.exists() else SEED
    last.write_text(str(seed))
    os.environ["FAULT_SEED"] = str(seed)
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - 15, they wait for all others
    began = time.monotonic()
    print(f"{' and '.join(arguments.suites)}: {len(lanes)} lanes on {os.cpu_count()} cores, FAULT_SEED={seed}")
    for lane in lanes:
        print(f"  {lane.name:<11} {lane.about}")
    with _engine(), tempfile.TemporaryDirectory(prefix="launcher-lanes-") as share, _programs(lanes):
        os.environ["LANES_SHARE"] = share
        runs = _carry_out(lanes, arguments.failed)
    _summary(arguments.suites, runs, time.monotonic() - began)
    sys.exit(1 if any(run.counts["failed"] for run in runs) else 0)


def _arguments() -> tuple[argparse.Namespace, list[Lane]]:
    """What is asked for, and the lanes that it means."""
    parser = argparse.ArgumentParser(prog="python -m tests", description="Runs the tests, two lanes or more at a time.")
    parser.add_argument("suites", nargs="+", choices=[*SUITES], metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--only", metavar="LANE,...", help="these lanes alone")
    parser.add_argument("--failed", action="store_true", help="only what failed when the lane last ran")
    arguments = parser.parse_args()
    lanes = {lane.name: lane for suite in arguments.suites for lane in SUITES[suite]}
    chosen = arguments.only.split(",") if arguments.only else [*lanes]
    for name in chosen:
        if name not in lanes:
            parser.error(f"`{name}` is no lane of {' or '.join(arguments.suites)}: {', '.join(lanes)}")
    return arguments, [lanes[name] for name in chosen]


@contextlib.contextmanager
def _engine() -> Iterator[None]:
    """All lanes share one Docker engine; where there can be none, their tests of it are left out."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(running())
        except (AssertionError, pytest.skip.Exception, pytest.fail.Exception) as lacking:
            if os.environ.get("CI"):
                raise
            print(f"  without Docker: {lacking}")
        else:
            os.environ.update(DOCKER_HOST=engine.host, DOCKER=engine.docker)
        yield


@contextlib.contextmanager
def _programs(lanes: Sequence[Lane]) -> Iterator[None]:
    """What tests need of Debian is installed meanwhile, in one go; where it cannot be had, the tests that need it say
    so."""

    def bring() -> None:
        with contextlib.suppress(AssertionError, pytest.skip.Exception, pytest.fail.Exception):
            install(*PACKAGES)

    thread = threading.Thread(target=bring)
    if any(lane.tests for lane in lanes):
        thread.start()
    try:
        yield
    finally:
        if thread.ident:
            thread.join()


def _carry_out(lanes: Sequence[Lane], failed: bool) -> list[Run]:
    """All lanes, once they have ended: the longest begin first, as many as the cores are enough for."""
    cores, waiting = float(os.cpu_count() or 1), sorted(lanes, key=lambda lane: (lane.alone, -lane.seconds))
    runs: list[Run] = []
    shown = time.monotonic()
    try:
        while waiting or any(not run.seconds for run in runs):
            working = [run for run in runs if not run.seconds]
            for run in working:
                _look(run)
            working = [run for run in runs if not run.seconds]
            for lane in list(waiting):
                if _fits(lane, [run.lane for run in working], cores):
                    waiting.remove(lane)
                    working.append(_begin(lane, failed))
                    runs.append(working[-1])
            if time.monotonic() - shown > EVERY:
                shown = time.monotonic()
                print(_standing(runs, waiting, cores))
            time.sleep(0.2)
    except BaseException:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        _end(runs)
        raise
    return runs


def _fits(lane: Lane, working: Sequence[Lane], cores: float) -> bool:
    if not working:
        return True
    if lane.alone or any(one.alone for one in working):
        return False
    return sum(one.cores for one in working) + lane.cores <= cores + 0.5


def _begin(lane: Lane, failed: bool) -> Run:
    events = LOGS / f"{lane.name}.jsonl"
    events.unlink(missing_ok=True)
    programs = ROOT / lane.python / "bin"
    if lane.commands:
        script = "import subprocess, sys; sys.exit(sum(subprocess.run(argv).returncode != 0 for argv in {}))"
        argv = ["-c", script.format([[str(programs / command[0]), *command[1:]] for command in lane.commands])]
    else:
        options = ["-p", "tests.support.progress", "-o", f"cache_dir={LOGS / lane.name}", "--tb=short"]
        options += [f"--hypothesis-seed={os.environ['FAULT_SEED']}"]
        argv = ["-m", "pytest", *options, *(_only_failed(lane) if failed else []), *lane.tests]
    (LOGS / f"{lane.name}.ended").unlink(missing_ok=True)
    with open(LOGS / f"{lane.name}.log", "wb") as log:
        process = subprocess.Popen(
            [str(programs / "python"), *argv],
            cwd=ROOT,
            env={**os.environ, "LANE_EVENTS": str(events)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Run(lane, process, time.monotonic(), tests=len(lane.commands))


def _only_failed(lane: Lane) -> list[str]:
    """pytest's options for the tests that failed the last time: all of a lane that did not come to its end."""
    ended = LOGS / f"{lane.name}.ended"
    return ["--last-failed", "--last-failed-no-failures=none"] if ended.exists() else []


def _look(run: Run) -> None:
    """What its tests have told since the last look is counted, a failure shown; its end is noticed."""
    code = run.process.poll()
    with contextlib.suppress(FileNotFoundError), open(LOGS / f"{run.lane.name}.jsonl", "rb") as file:
        file.seek(run.read)
        for line in file:
            if not line.endswith(b"\n"):
                break
            run.read, run.heard = run.read + len(line), time.monotonic()
            _count(run, json.loads(line))
    silent = time.monotonic() - run.heard
    if code is None and silent > SILENT and silent > patience(SILENT):
        _end([run])
        _fail(run, run.lane.name, f"no test of it has ended for {silent:.0f} s")
        code = run.process.wait()
    if code is None:
        return
    run.seconds = time.monotonic() - run.began
    if code in (0, 1, NOTHING_CHOSEN):
        (LOGS / f"{run.lane.name}.ended").touch()
    if code and not run.counts["failed"] and code != NOTHING_CHOSEN:
        _fail(run, run.lane.name, "\n".join(run.log.read_text(errors="replace").splitlines()[-30:]))
    if run.lane.commands and 0 <= code <= run.tests:
        run.counts["passed"], run.counts["failed"] = run.tests - code, code


def _count(run: Run, event: dict[str, object]) -> None:
    if "tests" in event:
        run.tests = int(str(event["tests"]))
    elif event["outcome"] == "failed":
        _fail(run, str(event["test"]), str(event["text"]))
    else:
        run.counts[str(event["outcome"])] += 1


def _fail(run: Run, what: str, text: str) -> None:
    run.counts["failed"] += 1
    body = "\n".join(f"    {line}" for line in text.splitlines())
    print(f"FAILED {what}\n{body}\n    the lane's log: {os.path.relpath(run.log)}")


def _end(runs: Sequence[Run]) -> None:
    """The lanes and what they started have ended, their fixtures first if they can within half a minute."""
    alive = [run for run in runs if run.process.poll() is None]
    for run in alive:
        _signal(run, signal.SIGINT)
    deadline = Deadline(30)
    while any(run.process.poll() is None for run in alive) and not deadline.over:
        time.sleep(0.1)
    for run in alive:
        _signal(run, signal.SIGKILL)
        run.process.wait()


def _signal(run: Run, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(run.process.pid, number)


def _standing(runs: Sequence[Run], waiting: Sequence[Lane], cores: float) -> str:
    """One line: how far each lane is, and how long all of it still takes."""
    now = time.monotonic()
    ended = [run for run in runs if run.seconds]
    known = sum(run.lane.seconds for run in ended)
    slow = sum(run.seconds for run in ended) / known if known else slowness()
    left = [(run.left(now, slow), run.lane.cores) for run in runs if not run.seconds]
    left += [(lane.seconds * slow, lane.cores) for lane in waiting]
    together = sum(seconds * share for seconds, share in left) / cores
    minutes = max([together, *(seconds for seconds, _ in left)]) / 60
    said = [f"{run.lane.name} {run.done}/{run.tests or '?'}" for run in runs if not run.seconds]
    said += [f"{run.lane.name} {'FAILED' if run.counts['failed'] else 'ok'}" for run in ended]
    said += [f"{lane.name} waits" for lane in waiting]
    return f"{_clock(now - min(run.began for run in runs))}  {', '.join(said)}; about {minutes:.0f} min left"


def _summary(suites: Sequence[str], runs: Sequence[Run], seconds: float) -> None:
    for run in runs:
        ended = "FAILED" if run.counts["failed"] else "ok"
        counts = ", ".join(f"{count} {outcome}" for outcome, count in run.counts.items() if count)
        print(f"  {run.lane.name:<11} {ended:<6} {_clock(run.seconds)}  {counts}")
        for line in run.log.read_text(errors="replace").splitlines():
            if line.startswith("by chance ("):
                print(f"              {line}")
    print(f"{' and '.join(suites)}, in {_clock(seconds)}:")
    total = {outcome: sum(run.counts[outcome] for run in runs) for outcome in ("passed", "failed", "skipped")}
    print(", ".join(f"{count} {outcome}" for outcome, count in total.items()))


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("broken off")
