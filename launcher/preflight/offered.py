"""Does the job file ask for something that SkyPilot does not offer on a cloud that the run may go to?"""

from collections.abc import Iterable, Mapping
from typing import Any

from launcher.preflight.finding import OK, REFUSED, Finding

SPOT = {"lambda": "Lambda has no spot machines"}
"""sky/clouds/lambda_cloud.py, 0.14.1. (RunPod has them.)"""
MOUNT = {"runpod": "SkyPilot mounts no bucket on RunPod: its pods have no /dev/fuse"}
"""sky/clouds/runpod.py, 0.14.1."""


def check(document: Mapping[str, Any], name: str, clouds: Iterable[str]) -> Finding:
    """Refused when it does: spot machines on Lambda, a bucket's mount on RunPod. `document`: the job file's, whose name
    is `name`."""
    resources = document.get("resources") or {}
    choices = [resources, *(resources.get("any_of") or resources.get("ordered") or [])]
    spot = any(one.get("use_spot") for one in choices)
    mounted = [place for place, one in (document.get("file_mounts") or {}).items() if _mounts(one)]
    for cloud in clouds:
        if spot and cloud in SPOT:
            return Finding("offered", REFUSED, f"{SPOT[cloud]}, and jobs/{name} has `use_spot`", "take it out")
        if mounted and cloud in MOUNT:
            hint = "`mode: COPY` copies it; `bucket:` in site.yaml keeps checkpoints without a mount"
            return Finding("offered", REFUSED, f"{MOUNT[cloud]}; jobs/{name} mounts `{mounted[0]}`", hint)
    return Finding("offered", OK, "nothing that a cloud lacks")


def _mounts(one: Any) -> bool:
    """Whether it is a bucket that is to look like a folder, which is SkyPilot's habit for buckets."""
    return isinstance(one, dict) and str(one.get("mode", "MOUNT")).upper().startswith("MOUNT")
