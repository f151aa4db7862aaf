"""Whose key is it? Asked of the service that gave it out."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 4.0
"""Seconds; who has no network is not to wait for it."""
VIEWER = json.dumps({"query": "query Viewer { viewer { username } }"}).encode()


@dataclass(frozen=True)
class Answer:
    """What a service said of a key: `valid` is None when it said nothing."""

    service: str
    valid: bool | None


def ask(name: str, value: str, env: Mapping[str, str], timeout: float = TIMEOUT) -> Answer | None:
    """Whether the service knows the key; None for a secret that no service is known for."""
    if name == "HF_TOKEN":
        url = (env.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/") + "/api/whoami-v2"
        return _answer(urllib.request.Request(url, headers={"Authorization": f"Bearer {value}"}), timeout)
    if name == "WANDB_API_KEY":
        url = (env.get("WANDB_BASE_URL") or "https://api.wandb.ai").rstrip("/") + "/graphql"
        word = base64.b64encode(f"api:{value}".encode()).decode()
        head = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
        return _answer(urllib.request.Request(url, VIEWER, head), timeout)
    return None


def _answer(request: urllib.request.Request, timeout: float) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            said = json.loads(reply.read(1 << 20))
    except urllib.error.HTTPError as problem:
        problem.close()
        return Answer(request.host, False if problem.code == 401 else None)
    except (OSError, ValueError):
        return Answer(request.host, None)
    nobody = isinstance(said, dict) and "data" in said and not (said["data"] or {}).get("viewer")
    return Answer(request.host, not nobody)
