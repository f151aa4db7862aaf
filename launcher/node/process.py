"""A stage's process: its environment, its end together with the node program, and the GPUs that it uses. Each git pin
has a checkout of its own, so two stages can run two branches."""

import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, Source, Stage
from launcher.runfolder.problem import Problem
from launcher.runfolder.processes import adopt_orphans, descendants, die_with_parent, kill_descendants, signal_quietly

OWN = str(Path(__file__).resolve().parent.parent.parent)
"""Where this program itself is imported from: stages must not import it."""
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
EVERY, PATIENCE = 30.0, 20.0
"""Seconds between two questions to the GPUs' driver, and seconds that an answer may take."""
ASK = ["nvidia-smi", "--query-gpu=name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits"]
NUMBER = re.compile("[0-9]{1,12}")


def environment(plan: Plan, stage: Stage, folder: RunFolder, code: Path, base: Mapping[str, str]) -> dict[str, str]:
    """`base` with a PYTHONPATH: first the stage's pinned source, then the recipes' code."""
    inherited = [path for path in base.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", OWN)]
    path = [str(code), *inherited]
    if "RAY_JOB_ID" in base:
        base = {name: value for name, value in base.items() if not _outer(name, value)}
    if stage.source:
        source = plan.sources[stage.source]
        try:
            path = import_path(source, checkout(source, folder.sources), folder.sources / f"guard-{stage.name}") + path
        except CheckoutError as problem:
            raise Problem(f"stage `{stage.name}`: {problem}", f"check `{source.git}` and `{source.ref}`") from None
    return {**base, "PYTHONPATH": os.pathsep.join(path)}


def _outer(name: str, value: str) -> bool:
    """Whether SkyPilot's Ray, which may have started this program, has set the variable. A stage's own Ray of another
    version would read it; one OpenMP thread is too few; and programs disagree on what an empty list of devices
    means."""
    unseen = "_VISIBLE_" in name and value == ""
    return unseen or name.startswith("RAY_") or name in ("OMP_NUM_THREADS", "PYTHONBREAKPOINT")


class CheckoutError(Exception):
    """The pinned commit cannot be fetched, or its checkout has been changed."""


def checkout(source: Source, folder: Path) -> Path:
    """The folder below `folder` with an unchanged checkout of `source` at its commit. It is made if it is missing."""
    target = folder / source.commit
    if not target.exists():
        part = folder / f".{source.commit}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _git(part, "init", "--quiet")
        with open(part / ".git/info/exclude", "a", encoding="utf-8") as file:
            file.write("__pycache__/\n")  # files that an import writes are no change
        try:
            _git(part, "fetch", "--quiet", "--depth", "1", "--", source.git, source.commit)
        except CheckoutError:  # this server gives branches only
            _git(part, "fetch", "--quiet", "--", source.git, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        _git(part, "checkout", "--quiet", "--detach", source.commit)
        part.rename(target)
    commit = _git(target, "rev-parse", "HEAD").strip()
    changed = _git(target, "status", "--porcelain").strip()
    if commit != source.commit or changed:
        state = f"is at {commit[:12]}" if commit != source.commit else f"was changed: {changed.splitlines()[0].strip()}"
        raise CheckoutError(f"the checkout of `{source.git}` at {source.commit[:12]} {state}")
    return target


def import_path(source: Source, checkout: Path, guard: Path) -> list[str]:
    """The beginning of PYTHONPATH: `guard`, which refuses any other copy of the package, then the checkout."""
    root = checkout / source.folder
    guard.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("pinned_imports.py"), guard / "sitecustomize.py")
    entry = {"package": source.package, "root": str(root), "commit": source.commit}
    (guard / "pinned.json").write_text(json.dumps(entry), encoding="utf-8")
    return [str(guard), str(root)]


def _git(folder: Path, *arguments: str) -> str:
    # inside a git hook these variables name the repository of the commit
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CheckoutError("`git` is not installed here") from None
    if done.returncode:
        raise CheckoutError(f"`git {arguments[0]}` failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return done.stdout


class Child:
    """A running command. A guard process (a fork of this program) reads one end of a pipe. When our end closes, the
    guard kills the command and everything that it started."""

    def __init__(self, argv: Sequence[str], folder: Path, env: Mapping[str, str], log: Path, lock: int):
        """Starts the command in `folder`. Its output is appended to `log`; it inherits the handle `lock`."""
        leash, self.leash = os.pipe()
        self.code: int | None = None
        self.others = descendants(os.getpid())  # what was here before is none of the command's
        # signals wait until the guard can pass them on
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        self.guard = os.fork()
        if self.guard == 0:
            try:
                os.close(self.leash)
                code = _guard(leash, argv, folder, env, log, lock)
            except BaseException:
                code = 1
            os._exit(code)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(leash)

    def poll(self) -> int | None:
        """The exit code once the command and all it started have ended; 128 + N when signal N ended it."""
        if self.code is None:
            ended, status = os.waitpid(self.guard, os.WNOHANG)
            if ended:
                self.code = _code(os.waitstatus_to_exitcode(status))
                os.close(self.leash)
                kill_descendants(self.others)
        return self.code

    def stop(self) -> None:
        """Asks the command to write a checkpoint and end."""
        signal_quietly(self.guard, signal.SIGTERM)

    def kill(self) -> None:
        """Ends the command and everything below it at once."""
        signal_quietly(self.guard, signal.SIGKILL)


def _guard(leash: int, argv: Sequence[str], folder: Path, env: Mapping[str, str], log: Path, lock: int) -> int:
    os.setsid()
    adopt_orphans()
    commands: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def stop(*_: object) -> None:
        asked.append(1)
        for command in commands:
            signal_quietly(command.pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    with open(log, "ab", buffering=0) as output:
        for handle in (1, 2):
            os.dup2(output.fileno(), handle)
        try:
            command = subprocess.Popen(
                argv,
                cwd=folder,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                preexec_fn=die_with_parent,
            )
        except OSError as problem:
            output.write(f"error: `{argv[0]}` cannot be started: {problem.strerror}\n".encode())
            return 127
    commands.append(command)
    if asked:
        stop()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waiter = selectors.DefaultSelector()
    waiter.register(leash, selectors.EVENT_READ)
    waiter.register(read_end, selectors.EVENT_READ)
    while command.poll() is None:
        ready = {key.fd for key, _ in waiter.select(timeout=1.0)}
        if read_end in ready:
            os.read(read_end, 4096)
        if leash in ready:
            command.kill()
            break
    code = _code(command.wait())
    kill_descendants()
    return code


def _code(code: int) -> int:
    return 128 - code if code < 0 else code


class Gpus:
    """Asks without waiting, so that a driver that hangs delays nothing. Without a driver it asks nothing."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.absent = False
        self.asked = -EVERY

    def new(self) -> dict[str, Any] | None:
        """The driver's answer, if a new one is there."""
        now = time.monotonic()
        if self.process is None:
            if not self.absent and now - self.asked >= EVERY:
                self._ask(now)
            return None
        if self.process.poll() is None:
            if now - self.asked > PATIENCE:
                self.absent = True  # a driver that hangs is not asked again
                self.close()
            return None
        text, _ = self.process.communicate()
        self.process = None
        return gpu_usage(text)

    def close(self) -> None:
        """Ends a question that is not answered yet."""
        if self.process and self.process.stdout:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # a process in the driver may not die at once
                self.process.wait(1)
            self.process.stdout.close()
        self.process = None

    def _ask(self, now: float) -> None:
        self.asked = now
        nothing = subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                ASK,
                stdin=nothing,
                stdout=subprocess.PIPE,
                stderr=nothing,
                text=True,
                errors="replace",
                preexec_fn=die_with_parent,
            )
        except OSError:
            self.absent = True


def gpu_usage(text: str) -> dict[str, Any] | None:
    """`name` and `total` MiB of the first GPU; `used` MiB and `busy` % of each, in the driver's order. None if the text
    is no such table; a number that the driver does not know (`[N/A]`) is 0."""
    rows = [[cell.strip() for cell in line.rsplit(",", 3)] for line in text.splitlines()]
    rows = [row for row in rows if len(row) == 4 and NUMBER.fullmatch(row[1])]
    if not rows:
        return None
    return {
        "name": rows[0][0],
        "total": int(rows[0][1]),
        "used": [_number(row[2]) for row in rows],
        "busy": [_number(row[3]) for row in rows],
    }


def _number(text: str) -> int:
    return int(text) if NUMBER.fullmatch(text) else 0
