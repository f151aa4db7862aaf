"""The handshake between a launch and its job on a rented machine. A job is submitted together with its machine, and
waits until the upload of what it needs is complete. It ends if nobody uploads, so that the machine counts as idle."""

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from launcher.transfer.ssh import Remote

FILE = "turn"
"""In the run folder there: the token of the launch whose job may begin, the number of the job, and how many events were
there before. During an upload the file is empty, and touched now and then."""
PATIENCE = 300
"""Seconds without a sign of an upload after which a job no longer waits."""
WAIT = f"""\
# jobs wait until the upload is complete; the token of this launch is written last
began=$(date +%s)
until read -r token _ 2> /dev/null < "$RUN/{FILE}" && [ "$token" = "$LAUNCH" ]; do
    touched=$(stat -c %Y "$RUN/{FILE}" 2> /dev/null || echo 0)
    if [ $(($(date +%s) - (touched > began ? touched : began))) -gt {PATIENCE} ]; then
        echo "the upload for this run was not completed: launch again"
        exit 33
    fi
    sleep 0.2
done
"""
"""The beginning of every job, in bash: `RUN` is the run folder, `LAUNCH` the token of its launch."""


@dataclass(frozen=True)
class Handshake:
    """`there` is the run folder on the machine."""

    remote: Remote
    there: str

    @property
    def file(self) -> str:
        return f"{self.there}/{FILE}"

    @contextlib.contextmanager
    def upload(self) -> Iterator[None]:
        """Makes all jobs wait while the block lasts. Raises Unreachable."""
        self.remote.run("sh", "-c", 'mkdir -p -- "$1" && : > "$2"', "-", self.there, self.file)
        with self.remote.terminal(f"touch -- {shlex.quote(self.file)}"):
            yield

    def start(self, token: str, job: int, events: int) -> None:
        """Lets the job of the launch with this token begin. Raises Unreachable."""
        write = 'echo "$1" > "$2.part" && mv -- "$2.part" "$2"'
        self.remote.run("sh", "-c", write, "-", f"{token} {job} {events}", self.file)

    def events_before(self, job: int) -> int | None:
        """How many events are older than the job; None if the job has not begun. Raises Unreachable."""
        fields = self.remote.run("sh", "-c", 'cat -- "$1" || :', "-", self.file).split()
        return int(fields[2]) if len(fields) == 3 and fields[1] == str(job) and fields[2].isdecimal() else None
