"""A machine behind ssh: commands on it, and copies to and from it, over one shared connection."""

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
"""Seconds until a machine that does not answer counts as unreachable; a connection that hangs takes twice as long."""
SHARED = 120
"""Seconds that the shared connection outlives its last use."""
SPEAK, ALONE = 10, 60
"""Seconds between words to a terminal that is held open, and without one until it closes."""
CIPHERS = "-oCiphers=^aes128-gcm@openssh.com"
"""The one for which processors have instructions, before what ssh would take: copies take less of a core."""
UNREACHABLE = {10, 12, 30, 35, 255}
"""rsync's exit codes for sockets, its protocol stream and its timeouts; 255 is ssh's own."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What a disk answers that takes nothing."""
ANSWER = re.compile(r" \((\d+)\)$", re.MULTILINE)
"""The number of an answer in rsync's words."""


class Unreachable(LaunchError):
    """The machine does not answer."""


class NoRoom(LaunchError):
    """The machine answers, but the disk here does not take what is copied."""

    def __init__(self, path: Path, number: int):
        super().__init__(f"`{path}` cannot be written: {os.strerror(number)}", "make room there", OURS)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What this side's system refuses in the block is NoRoom, for `path`."""
    try:
        yield
    except OSError as problem:
        raise NoRoom(path, problem.errno or errno.EIO) from problem


@dataclass(frozen=True)
class Remote:
    """`host` is a name that ssh knows from `config`, or from the user's own files when that is None. A password is
    never asked for: what needs one fails."""

    host: str
    config: Path | None = None

    @property
    def ssh(self) -> list[str]:
        """The beginning of every ssh command line to this machine. A control master of the user's own is used."""
        own = [f"-oControlPath={self._socket()}", "-oControlMaster=auto", f"-oControlPersist={SHARED}"]
        alive = [f"-oConnectTimeout={CONNECT}", "-oServerAliveInterval=5", f"-oServerAliveCountMax={CONNECT // 5}"]
        named = ["-F", str(self.config)] if self.config else []
        return ["ssh", "-oBatchMode=yes", "-oLogLevel=ERROR", CIPHERS, *alive, *(own if self.config else []), *named]

    def _socket(self) -> Path:
        """The shared connection's, of this machine alone. ssh's own `%C` is one for all machines that are reached as
        `localhost` by way of a proxy, as all of SkyPilot's clusters on Lambda are: two runs would share a machine."""
        about = self.config.read_bytes() if self.config and self.config.is_file() else b""
        return _sockets() / hashlib.sha256(about + b"\0" + self.host.encode()).hexdigest()[:24]

    def run(self, *argv: str, timeout: float = 120, text: str | None = None) -> str:
        """What the command printed. `text` is its standard input. Raises Unreachable, or LaunchError when it fails."""
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
        """`target` holds what lies below `source` there (a copy that broke off goes on). Raises Unreachable, NoRoom,
        or LaunchError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._rsync([*options, f"{self.host}:{source}", str(target)], target)

    def send(self, sources: Sequence[str], target: str, *options: str) -> None:
        """`target` there holds the files and folders. Raises Unreachable, or LaunchError."""
        self._rsync([*options, *sources, f"{self.host}:{target}"])

    @contextlib.contextmanager
    def present(self, sign: str = ":") -> Iterator[None]:
        """A terminal is open there for the length of the block: what turns idle machines off sees somebody. It closes
        when this process is not heard for a minute. `sign` is a shell's command that is run there now and then."""
        stay = f"{sign}; while read -r -t {ALONE} _; do {sign}; done"
        argv = [*self.ssh, "-tt", self.host, "--", shlex.join(["exec", "bash", "-c", stay])]
        quiet = subprocess.DEVNULL
        over = threading.Event()
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, bufsize=0) as session:
            speaker = threading.Thread(target=_speak, args=(session.stdin, over), daemon=True)
            speaker.start()
            try:
                yield
            finally:
                over.set()
                speaker.join()
                session.terminate()

    def close(self) -> None:
        """The shared connection is closed."""
        if self.config:
            subprocess.run([*self.ssh, "-O", "exit", self.host], capture_output=True, check=False)

    def _rsync(self, words: Sequence[str], here: Path | None = None) -> None:
        """`here` is what is written on this side."""
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
        done = subprocess.run([*argv, *words], capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            if here and (full := FULL & {int(number) for number in ANSWER.findall(done.stderr)}):
                raise NoRoom(here, min(full))
            raise _problem(self.host, f"rsync {words[-2]}", done.returncode, done.stderr)


def _speak(line: IO[bytes], over: threading.Event) -> None:
    """A word now and then, until it is over or nobody listens."""
    with contextlib.suppress(OSError):
        while not over.wait(SPEAK):
            line.write(b"\n")


def _problem(host: str, what: str, code: int, said: str) -> LaunchError:
    last = (said.strip().splitlines() or [f"exit code {code}"])[-1]
    if code in UNREACHABLE:
        return Unreachable(f"`{host}` cannot be reached: {last}", "`launcher runs` shows whether it still runs", FAILED)
    return LaunchError(f"`{host}`: `{what}` failed: {last}", "the machine's own words are above", FAILED)


def _sockets() -> Path:
    """A folder of this user's alone, with a name short enough for a socket's path."""
    folder = Path(tempfile.gettempdir()) / f"launcher-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.getuid() or not stat.S_ISDIR(about.st_mode):
        raise LaunchError(f"`{folder}` belongs to somebody else", "name another folder in TMPDIR")
    folder.chmod(0o700)  # who may open its sockets is whoever may log in
    return folder
