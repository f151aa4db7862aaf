"""Exit 0 is not done: what a stage left behind is looked at before it is believed."""

import json
import math
from pathlib import Path
from typing import Any

from launcher.runfolder.plan import Must

TESTS = {
    "above": lambda value, limit: value > limit,
    "below": lambda value, limit: value < limit,
    "equals": lambda value, limit: value == limit,
    "at_least": lambda value, limit: value >= limit,
}
WORDS = {"above": "above", "below": "below", "equals": "equal to", "at_least": "at least"}


def shortcomings(must: Must, out: Path, metrics: dict[str, Any]) -> list[str]:
    """A sentence for each thing that `must` demands and `out` does not have; empty when all is well."""
    found = []
    for pattern in must.files:
        files = [path for path in out.glob(pattern) if path.is_file()]
        if not files:
            found.append(f"it left no file `{pattern}`")
        found += [f"it left `{path.relative_to(out)}` empty" for path in files if path.stat().st_size == 0]
    for name, value in metrics.items():
        if isinstance(value, float) and not math.isfinite(value):
            found.append(f"its metric `{name}` is {value}")
    for name, conditions in must.metrics.items():
        value = metrics.get(name)
        for word, limit in conditions.items():
            if not isinstance(value, int | float):
                found.append(f"it reports no number `{name}` (`{word} {limit:g}` is demanded)")
            elif not TESTS[word](value, limit):
                found.append(f"its metric `{name}` is {value:g}, not {WORDS[word]} {limit:g}")
    return found


def read_metrics(out: Path) -> dict[str, Any]:
    """`{out}/metrics.json`; empty when there is none or it is torn."""
    try:
        value = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
