"""What every stage's command does in the same way: it reports progress, stops when it is asked to, ends with the right
exit code, and explains errors."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 3, 2, 33
"""Exit codes of a stage (docs/concepts/stage-contract.md)."""
KEYBOARD = 130
"""The exit code after Ctrl-C, as a shell has it."""


class StageError(Exception):
    """A failure that is explained to the user: what is wrong with which value, and what helps."""

    def __init__(self, error: str, hint: str, code: int = FAILED):
        super().__init__(error)
        self.error, self.hint, self.code = error, hint, code

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets another process raise it: the arguments survive pickling."""
        return self.__class__.__new__, (self.__class__, self.error), self.__dict__


class Mistake(StageError):
    """A failure that only the user can correct: wrong data, wrong setting."""

    def __init__(self, error: str, hint: str):
        super().__init__(error, hint, MISTAKE)


class Interrupted(Exception):
    """The stage was asked to stop and left a checkpoint: run the same command again to go on."""


class Progress:
    """Appends JSON lines to `{work}/progress.jsonl`; a line that a kill cut off is ended before the next one."""

    def __init__(self, work: Path):
        work.mkdir(parents=True, exist_ok=True)
        self.path = work / "progress.jsonl"

    def step(self, step: int, steps: int, metrics: dict[str, float] | None = None) -> None:
        """`step` of `steps` is finished; `metrics` are its numbers."""
        self._append({"step": step, "steps": steps, "metrics": metrics or {}})

    def checkpoint(self, name: str, step: int) -> None:
        """The folder `name` below the work folder is a complete checkpoint: a kill from now on costs no step up to
        `step`."""
        self._append({"checkpoint": name, "step": step})

    def warning(self, text: str) -> None:
        """Something the user should look at while the stage runs."""
        self._append({"warning": text})

    def _append(self, entry: dict[str, object]) -> None:
        line = json.dumps({"time": round(time.time(), 3), **entry}) + "\n"
        with open(self.path, "ab+") as file:
            if file.tell() and (file.seek(-1, os.SEEK_END) or True) and file.read(1) != b"\n":
                line = "\n" + line
            file.write(line.encode())


def run(main: Callable[[], None]) -> None:
    """Calls `main` and exits with the stage contract's code; a StageError and Ctrl-C are printed, not traced."""
    try:
        main()
    except StageError as problem:
        print(f"error: {problem.error}\n\nhint: {problem.hint}", file=sys.stderr, flush=True)
        sys.exit(problem.code)
    except Interrupted as stop:
        print(f"interrupted: {stop}", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.exit(KEYBOARD)


class StopSignal:
    """Remembers that SIGTERM came. A call returns whether it came."""

    def __init__(self) -> None:
        self.came = False
        self.listen()

    def listen(self) -> None:
        """SIGTERM is remembered from now on, even if a library has installed its own handler."""
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, number: int, frame: Any) -> None:
        self.came = True
        print("SIGTERM: stopping after this step", file=sys.stderr, flush=True)

    def __call__(self) -> bool:
        return self.came


@contextmanager
def tensor_progress(work: Path | None) -> Iterator[Callable[[int, int], None]]:
    """Yields a function for (finished, total), which reports steps in `{work}/progress.jsonl`, or shows a bar on a
    terminal when there is no `work`."""
    if work:
        yield Progress(work).step
        return
    from tqdm import tqdm

    with tqdm(unit=" tensors", disable=None) as bar:

        def show(finished: int, total: int) -> None:
            bar.total = total
            bar.update(finished - bar.n)

        yield show
