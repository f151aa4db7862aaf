"""A machine that is reached over ssh: commands on it, and copies to and from it, over one shared connection."""

import contextlib
import errno
import hashlib
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from launcher.errors import FAILED, OURS, LaunchError

CONNECT = 15
"""Seconds until a machine that does not answer counts as unreachable; twice as long for an open connection."""
SHARED = 120
"""Seconds that the shared connection stays open after its last use."""
KEEP_ALIVE, PATIENCE = 10, 60
"""Seconds between two signs of life to an open terminal, and seconds without one until it closes."""
CIPHERS = "-oCiphers=^aes128-gcm@openssh.com"
"""A cipher for which processors have instructions comes first: copies then need less CPU time."""
UNREACHABLE = {10, 12, 30, 35, 255}
"""rsync's exit codes for sockets, its protocol stream and its timeouts; 255 is ssh's own."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of a disk that takes no data."""
ANSWER = re.compile(r" \((\d+)\)$", re.MULTILINE)
"""The number of an error in rsync's output."""


class Unreachable(LaunchError):
    """The machine does not answer."""


class NoRoom(LaunchError):
    """The machine answers, but the disk here takes no data."""

    def __init__(self, path: Path, number: int):
        super().__init__(f"`{path}` cannot be written: {os.strerror(number)}", "make room on this disk", OURS)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError of this side into NoRoom, for `path`."""
    try:
        yield
    except OSError as problem:
        raise NoRoom(path, problem.errno or errno.EIO) from problem


@dataclass(frozen=True)
class Remote:
    """`host` is a name that ssh knows from `config`, or from the user's own files if that is None. ssh never asks for a
    password: a login that needs one fails."""

    host: str
    config: Path | None = None

    @property
    def ssh(self) -> list[str]:
        """The beginning of every ssh command to this machine. The user's own shared connection is used if there is
        one."""
        own = [f"-oControlPath={self._socket()}", "-oControlMaster=auto", f"-oControlPersist={SHARED}"]
        alive = [f"-oConnectTimeout={CONNECT}", "-oServerAliveInterval=5", f"-oServerAliveCountMax={CONNECT // 5}"]
        named = ["-F", str(self.config)] if self.config else []
        return ["ssh", "-oBatchMode=yes", "-oLogLevel=ERROR", CIPHERS, *alive, *(own if self.config else []), *named]

    def _socket(self) -> Path:
        """The socket of the shared connection, one for each machine. ssh's own `%C` is the same for all machines that
        are reached as `localhost` through a proxy, such as SkyPilot's clusters on Lambda: two runs would share a
        machine."""
        about = self.config.read_bytes() if self.config and self.config.is_file() else b""
        return _sockets() / hashlib.sha256(about + b"\0" + self.host.encode()).hexdigest()[:24]

    def run(self, *argv: str, timeout: float = 120, text: str | None = None) -> str:
        """What the command printed. `text` is its standard input. Raises Unreachable, or LaunchError if it fails."""
        command = [*self.ssh, self.host, "--", shlex.join(argv)]
        try:
            done = subprocess.run(
                command, input=text or "", capture_output=True, text=True, errors="replace", timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"`{self.host}` did not answer for {timeout:.0f} s", "try again") from None
        if done.returncode:
            raise _problem(self.host, shlex.join(argv)[:80], done.returncode, done.stderr)
        return done.stdout

    def fetch(self, source: str, target: Path, *options: str) -> None:
        """Copies `source` on the machine to `target` here, and continues a copy that was cut off. Raises Unreachable,
        NoRoom, or LaunchError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._rsync([*options, f"{self.host}:{source}", str(target)], target)

    def send(self, sources: Sequence[str], target: str, *options: str) -> None:
        """Copies files and folders to `target` on the machine. Raises Unreachable, or LaunchError."""
        self._rsync([*options, *sources, f"{self.host}:{target}"])

    @contextlib.contextmanager
    def terminal(self, sign: str = ":") -> Iterator[None]:
        """Keeps a terminal open on the machine during the block, so that programs that turn idle machines off see a
        user. It closes after a minute without a sign of life from this process. The machine runs the shell command
        `sign` at each sign of life."""
        stay = f"{sign}; while read -r -t {PATIENCE} _; do {sign}; done"
        argv = [*self.ssh, "-tt", self.host, "--", shlex.join(["exec", "bash", "-c", stay])]
        quiet = subprocess.DEVNULL
        over = threading.Event()
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, bufsize=0) as session:
            keeper = threading.Thread(target=_keep_alive, args=(session.stdin, over), daemon=True)
            keeper.start()
            try:
                yield
            finally:
                over.set()
                keeper.join()
                session.terminate()

    def close(self) -> None:
        """Closes the shared connection."""
        if self.config:
            subprocess.run([*self.ssh, "-O", "exit", self.host], capture_output=True, check=False)

    def _rsync(self, arguments: Sequence[str], here: Path | None = None) -> None:
        """`here` is the path that is written on this side, if any."""
        if not shutil.which("rsync"):
            raise LaunchError("there is no command `rsync` here", "install rsync")
        argv = [
            "rsync",
            "-a",
            "--safe-links",
            "--no-devices",
            "--no-specials",
            "--protect-args",
            "--partial",
            f"--timeout={CONNECT * 4}",
            "-e",
            shlex.join(self.ssh),
        ]
        done = subprocess.run([*argv, *arguments], capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            if here and (full := FULL & {int(number) for number in ANSWER.findall(done.stderr)}):
                raise NoRoom(here, min(full))
            raise _problem(self.host, f"rsync {arguments[-2]}", done.returncode, done.stderr)


def _keep_alive(line: IO[bytes], over: threading.Event) -> None:
    """Sends signs of life until it is over."""
    with contextlib.suppress(OSError):  # the terminal is closed: nobody reads any more
        while not over.wait(KEEP_ALIVE):
            line.write(b"\n")


def _problem(host: str, what: str, code: int, output: str) -> LaunchError:
    last = (output.strip().splitlines() or [f"exit code {code}"])[-1]
    if code in UNREACHABLE:
        return Unreachable(f"`{host}` cannot be reached: {last}", "`launcher runs` shows whether it still runs", FAILED)
    return LaunchError(f"`{host}`: `{what}` failed: {last}", "`launcher logs` shows the machine's log", FAILED)


def _sockets() -> Path:
    """A folder that only this user may open, with a name short enough for a socket's path."""
    folder = Path(tempfile.gettempdir()) / f"launcher-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
        raise LaunchError(f"`{folder}` belongs to somebody else", "name another folder in TMPDIR")
    folder.chmod(0o700)  # a user who can open these sockets can log in
    return folder
