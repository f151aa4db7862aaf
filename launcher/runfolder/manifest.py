"""The last word of a run: what it made, byte for byte, and where that came from."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from launcher.runfolder.done import fingerprint, read_proof
from launcher.runfolder.files import read_json, same_folder, sha256, tree, write_json
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Plan, digest
from launcher.runfolder.validation import inside


def publish(plan: Plan, folder: RunFolder) -> dict[str, Any]:
    """`export/` holds the export stage's `out`, and `manifest.json`, written after it, each of its files' sha256."""
    same_folder(folder.stage(plan.export).out, folder.export)
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
    """Every pin the run was made from."""
    return {
        "code": {"tree": plan.code.tree, "commit": plan.code.commit, "dirty": plan.code.dirty},
        "packages": plan.packages,
        "sources": {name: {"git": one.git, "ref": one.ref, "commit": one.commit} for name, one in plan.sources.items()},
        "models": {
            name: {"repo": one.repo, "revision": one.revision, "commit": one.commit}
            for name, one in plan.models.items()
        },
        "inputs": {name: {"sha256": one.sha256, "rows": one.rows} for name, one in plan.inputs.items()},
        "image": plan.image and asdict(plan.image),
        "environment": plan.environment,
        "software": plan.machine.software,
        "settings": digest([stage.config for stage in plan.stages]),
    }


def is_finished(plan: Plan, folder: RunFolder) -> bool:
    """Whether the run's manifest is there, is this plan's, and every exported file has the size it had."""
    manifest = read(folder.manifest)
    if manifest is None:
        return False
    said = {name: one.get("fingerprint") for name, one in manifest.get("stages", {}).items()}
    same = all(said.get(stage.name) == fingerprint(plan, stage) for stage in plan.stages)
    same = same and manifest.get("exported") == plan.export
    return same and has_all(manifest, folder)


def read(path: Path) -> dict[str, Any] | None:
    """The manifest; None when there is none, or it is not one that can be believed (`wrong`)."""
    value = read_json(path)
    return value if isinstance(value, dict) and wrong(value) is None else None


def wrong(manifest: Mapping[str, Any]) -> str | None:
    """Why this is no manifest of ours, in a sentence: a file that it lists would lie outside the export, or is not
    described. It may come from a machine that is somebody else's."""
    stages = manifest.get("stages", {})
    if not isinstance(manifest.get("export"), dict) or not isinstance(stages, dict):
        return "it has no table `export`, or its `stages` are not a table"
    if not all(isinstance(one, dict) for one in stages.values()):
        return "its `stages` are not tables"
    for name, one in manifest["export"].items():
        if not inside(name):
            return f"its file `{name}` would lie outside the export"
        size, hash = (one.get("bytes"), one.get("sha256")) if isinstance(one, dict) else (None, None)
        if type(size) is not int or size < 0 or not isinstance(hash, str) or not re.fullmatch("[0-9a-f]{64}", hash):
            return f"its file `{name}` has no size and sha256"
    return None


def has_all(manifest: dict[str, Any], folder: RunFolder) -> bool:
    """Whether `export` holds the files of this manifest and no others, each in its size."""
    return tree(folder.export) == {name: one["bytes"] for name, one in manifest["export"].items()}


def _summary(plan: Plan, name: str, folder: RunFolder) -> dict[str, Any]:
    done = read_proof(folder.stage(name).done)
    assert done, f"stage `{name}` is done"
    return {
        "fingerprint": fingerprint(plan, plan.stage(name)),
        "attempt": done["attempt"],
        "seconds": round(done["finished"] - done["started"], 3),
        "metrics": done["metrics"],
    }
