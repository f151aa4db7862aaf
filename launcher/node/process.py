"""A stage's process: when the node program ends, in whatever way, everything that the stage started ends too."""

import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.runfolder.processes import adopt_orphans, descendants, die_with_parent, kill_descendants, signal_quietly


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
