"""A recipe's own command, run here before anything is paid, and what it answered."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.runfolder.argv import PLACEHOLDER
from launcher.runfolder.problem import closing_error


@dataclass(frozen=True)
class Answer:
    """How a command ended: its exit code, its output, and of one that failed its own sentence, or the last line of
    whatever went wrong, and what helps."""

    code: int
    out: str
    error: str = ""
    hint: str = ""

    @property
    def last(self) -> str:
        """Its last line, which is its evidence."""
        return (self.out.strip().splitlines() or ["checked"])[-1]


def wanted(command: Sequence[str]) -> set[str]:
    """The names of its placeholders, as `input.train`."""
    return {name for word in command for name in PLACEHOLDER.findall(word)}


def ask(
    command: Sequence[str],
    places: Mapping[str, object],
    root: Path,
    python: Path | str = sys.executable,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """Runs it in `root` with `python` for its first word, and each placeholder replaced."""
    words = [PLACEHOLDER.sub(lambda found: str(places[found[1]]), word) for word in command]
    done = subprocess.run([str(python), *words[1:]], cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Answer(0, done.stdout)
    error, hint = closing_error(done.stderr) or ((done.stderr.strip() or "no message").splitlines()[-1], "")
    return Answer(done.returncode, done.stdout, error, hint)


def ask_about(command: Sequence[str], request: object, root: Path) -> Answer:
    """Runs it with a file that says the request, as JSON, for its `{request}`."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "request.json"
        place.write_text(json.dumps(request), encoding="utf-8")
        return ask(command, {"request": place}, root)
