"""Are there known holes in the packages that the locks name? Asked of PyPI by pip-audit, in an environment of its own.

    python -m tests.security.audit [LOCK ...]

Exits 0 when none is known, 1 when some are, 2 when nobody could be asked.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).parent.parent.parent / "locks"
TOOL = "pip-audit==2.10.1"
NONE, HOLES, SILENT = 0, 1, 2


def main(names: Sequence[str]) -> int:
    """How many packages were looked at, and a line for each hole."""
    paths = [Path(name) for name in names] or sorted(LOCKS.glob("*.lock"))
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        made = _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", TOOL)
        if made.returncode:
            return _silent(f"`{TOOL}` cannot be installed: {last(made.stderr)}")
        worst = NONE
        for path in paths:
            asked = _run(python, "-m", "pip_audit", *WORDS, "--requirement", str(path))
            answer = understood(asked.stdout)
            if answer is None:
                return _silent(f"`{path.name}`: {last(asked.stderr)}")
            if why := unasked(answer):
                return _silent(f"`{path.name}`: {why}")
            found = list(holes(answer))
            print(f"{path.name}: {len(answer)} packages, {sum('version' in one for one in answer)} looked at")
            for line in found:
                print(f"  {line}")
            worst = max(worst, HOLES if any(one.get("vulns") for one in answer) else NONE)
    return worst


WORDS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")


def understood(text: str) -> list[dict[str, Any]] | None:
    """The packages of pip-audit's answer; None when it is none."""
    try:
        found = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, list) else None


def unasked(packages: Sequence[dict[str, Any]]) -> str | None:
    """Why the answer is none, where pip-audit found no package at all and calls that no known holes."""
    if packages and all("skip_reason" in one for one in packages):
        return f"none of its {len(packages)} packages was found where it asked: {packages[0]['skip_reason']}"
    return None


def holes(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """`torch 2.1.0: CVE-2026-1, mended in 2.1.1`, of each; and what could not be looked at."""
    for one in packages:
        if "skip_reason" in one:
            yield f"{one['name']}: not looked at: {one['skip_reason']}"
        for hole in one.get("vulns", ()):
            names = [hole["id"], *hole.get("aliases", ())]
            name = next((name for name in names if name.startswith("CVE-")), names[0])
            mended = " or ".join(hole.get("fix_versions", ())) or "no version yet"
            yield f"{one['name']} {one['version']}: {name}, mended in {mended}"


def last(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1][:300]


def _run(*argv: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(one) for one in argv], capture_output=True, text=True, check=False)


def _silent(why: str) -> int:
    print(
        f"error: nobody could be asked about holes: {why}\n\nhint: it takes a network that reaches pypi.org",
        file=sys.stderr,
    )
    return SILENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
