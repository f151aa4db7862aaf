"""What a stage reported about its steps."""

import json
from pathlib import Path


def read_history(work: Path, until: int) -> dict[int, dict[str, float]]:
    """Metrics of the steps up to `until`, in order; of a step that was done twice, the second time's."""
    path, found = work / "progress.jsonl", {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        if "metrics" in entry and entry["step"] <= until:
            found[entry["step"]] = entry["metrics"]
    return dict(sorted(found.items()))
