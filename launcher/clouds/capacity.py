"""What SkyPilot says while it looks for a machine, and why there was none."""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

from launcher.errors import FAILED, MISTAKE, LaunchError

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class NoCapacity(LaunchError):
    """No cloud that was asked has such a machine now; when none was asked at all, `tried` is false."""

    def __init__(self, error: str, hint: str, tried: bool):
        super().__init__(error, hint, FAILED if tried else MISTAKE)
        self.tried = tried


class Tried:
    """The places that SkyPilot asked, and what each of them said, from its own lines."""

    def __init__(self) -> None:
        self.place = ""
        self.reasons: dict[str, str] = {}

    def heard(self, line: str) -> str:
        """The line again."""
        if found := re.search(r"Launching on ([^.]+?)(?: \(.*\))?\.", line):
            self.place = found[1]
        elif found := re.search(r"run_instances error: (.*)", line):
            self.reasons[self.place] = found[1]
        return line


def no_capacity(problem: Any, reasons: Mapping[str, str]) -> NoCapacity:
    """What was asked, and why each place had none."""
    tried = [f"{place}: {why}" for place, why in reasons.items()]
    tried = tried or [in_a_line(one) for one in getattr(problem, "failover_history", None) or []]
    said = "; ".join(one.rstrip(".") for one in dict.fromkeys(tried) if one) or in_a_line(problem)
    hint = "`--wait HOURS` asks again until there is one; `--cloud runpod,lambda` asks more clouds"
    return NoCapacity(f"no machine is to be had: {said}", hint if tried else "`sky check` says why", bool(tried))


def in_a_line(problem: BaseException) -> str:
    """What an exception says, in one line."""
    text = ANSI.sub("", str(problem))
    return " ".join(text.split())[:400]


class Lines(io.TextIOBase):
    """A stream that hands on whole lines, without colours and progress signs."""

    def __init__(self, said: Callable[[str], None]):
        self.said, self.rest = said, ""

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if plain := ANSI.sub("", line).strip():
                self.said(plain)
        return len(text)
