"""Whose turn it is on a rented machine: a job is submitted together with its machine, and waits until what it needs was
sent. It ends by itself when nobody sends, so that the machine counts as idle."""

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from launcher.transfer.ssh import Remote

FILE = "turn"
"""Below the run folder there: the word of the launch whose job may begin, the job's number, and how many events there
were before. It is empty, and touched now and then, while something is sent."""
PATIENCE = 300
"""Seconds without a sign of the sender after which a job no longer waits."""
WAIT = f"""\
# what the run needs is sent once the machine is there; the word of this launch comes after all else
began=$(date +%s)
until read -r word _ 2> /dev/null < "$RUN/{FILE}" && [ "$word" = "$LAUNCH" ]; do
    heard=$(stat -c %Y "$RUN/{FILE}" 2> /dev/null || echo 0)
    if [ $(($(date +%s) - (heard > began ? heard : began))) -gt {PATIENCE} ]; then
        echo "nobody has sent what the run needs: launch again"
        exit 33
    fi
    sleep 0.2
done
"""
"""What a job does before all else, in bash: `RUN` is the run folder, `LAUNCH` the word of its launch."""


@dataclass(frozen=True)
class Handshake:
    """`there` is the run folder on the machine."""

    remote: Remote
    there: str

    @property
    def file(self) -> str:
        return f"{self.there}/{FILE}"

    @contextlib.contextmanager
    def awaited(self) -> Iterator[None]:
        """It is nobody's turn, and jobs wait for the length of the block. Raises Unreachable."""
        self.remote.run("sh", "-c", 'mkdir -p -- "$1" && : > "$2"', "-", self.there, self.file)
        with self.remote.terminal(f"touch -- {shlex.quote(self.file)}"):
            yield

    def give(self, word: str, job: int, events: int) -> None:
        """The job of the launch with this word begins. Raises Unreachable."""
        write = 'echo "$1" > "$2.part" && mv -- "$2.part" "$2"'
        self.remote.run("sh", "-c", write, "-", f"{word} {job} {events}", self.file)

    def given(self, job: int) -> int | None:
        """How many events are from before the job; None when it has not begun. Raises Unreachable."""
        said = self.remote.run("sh", "-c", 'cat -- "$1" || :', "-", self.file).split()
        return int(said[2]) if len(said) == 3 and said[1] == str(job) and said[2].isdecimal() else None
