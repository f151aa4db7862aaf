"""`manifest.json`: each exported file with its size and sha256, and the lineage of the export."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from launcher.runfolder.done import fingerprint, read_done
from launcher.runfolder.files import link_folder, read_json, sha256, tree, write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, digest
from launcher.runfolder.validation import inside


def publish(plan: Plan, folder: RunFolder) -> dict[str, Any]:
    """Copies the export stage's `out` to `export/`, then writes `manifest.json`."""
    link_folder(folder.stage(plan.export).out, folder.export)
    manifest = {
        "format": 1,
        "run": plan.run,
        "recipe": plan.recipe,
        "plan_sha256": sha256(folder.plan),
        "written": time.time(),
        "exported": plan.export,
        "export": {
            name: {"bytes": size, "sha256": sha256(folder.export / name)} for name, size in tree(folder.export).items()
        },
        "stages": {stage.name: _summary(plan, stage.name, folder) for stage in plan.stages},
        "lineage": lineage(plan),
    }
    write_json(folder.manifest, manifest)
    return manifest


def lineage(plan: Plan) -> dict[str, Any]:
    """Every pin that the run was made from."""
    return {
        "code": {"tree": plan.code.tree, "commit": plan.code.commit, "dirty": plan.code.dirty},
        "packages": plan.packages,
        "sources": {
            name: {"git": source.git, "ref": source.ref, "commit": source.commit}
            for name, source in plan.sources.items()
        },
        "models": {name: asdict(model) for name, model in plan.models.items()},
        "inputs": {name: {"sha256": data.sha256, "rows": data.rows} for name, data in plan.inputs.items()},
        "image": plan.image and asdict(plan.image),
        "environment": plan.environment,
        "software": plan.machine.software,
        "settings": digest([stage.config for stage in plan.stages]),
    }


def is_finished(plan: Plan, folder: RunFolder) -> bool:
    """Whether the manifest exists, belongs to this plan, and lists exactly the files of the export."""
    manifest = read(folder.manifest)
    if manifest is None:
        return False
    fingerprints = {name: summary.get("fingerprint") for name, summary in manifest.get("stages", {}).items()}
    same = all(fingerprints.get(stage.name) == fingerprint(plan, stage) for stage in plan.stages)
    same = same and manifest.get("exported") == plan.export
    return same and matches(manifest, folder)


def read(path: Path) -> dict[str, Any] | None:
    """The manifest; None if it is missing or not valid (`defect`)."""
    value = read_json(path)
    return value if isinstance(value, dict) and defect(value) is None else None


def defect(manifest: Mapping[str, Any]) -> str | None:
    """Why the manifest is not valid, in a sentence: it may come from a machine that somebody else controls, and must
    name no file outside the export."""
    stages = manifest.get("stages", {})
    if not isinstance(manifest.get("export"), dict) or not isinstance(stages, dict):
        return "it has no table `export`, or its `stages` are not a table"
    if not all(isinstance(summary, dict) for summary in stages.values()):
        return "its `stages` are not tables"
    for name, facts in manifest["export"].items():
        if not inside(name):
            return f"its file `{name}` would lie outside the export"
        size, hash = (facts.get("bytes"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
        if type(size) is not int or size < 0 or not isinstance(hash, str) or not re.fullmatch("[0-9a-f]{64}", hash):
            return f"its file `{name}` has no size and sha256"
    return None


def matches(manifest: dict[str, Any], folder: RunFolder) -> bool:
    """Whether `export` has the files of this manifest and no others, each with its size."""
    return tree(folder.export) == {name: facts["bytes"] for name, facts in manifest["export"].items()}


def _summary(plan: Plan, name: str, folder: RunFolder) -> dict[str, Any]:
    done = read_done(folder.stage(name).done)
    assert done, f"stage `{name}` is done"
    return {
        "fingerprint": fingerprint(plan, plan.stage(name)),
        "attempt": done["attempt"],
        "seconds": round(done["finished"] - done["started"], 3),
        "metrics": done["metrics"],
    }
