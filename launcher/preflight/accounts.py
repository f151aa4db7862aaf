"""Whose key is it? Asked of the service that gave it out."""

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT = 4.0
"""Seconds; who has no network is not to wait for it."""
LONGEST = 1 << 20
"""Bytes read of an answer."""
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
        return _answer(url, {"Authorization": f"Bearer {value}"}, timeout)
    if name == "WANDB_API_KEY":
        url = (env.get("WANDB_BASE_URL") or "https://api.wandb.ai").rstrip("/") + "/graphql"
        word = base64.b64encode(f"api:{value}".encode(errors="replace")).decode()
        head = {"Authorization": f"Basic {word}", "Content-Type": "application/json"}
        return _answer(url, head, timeout, VIEWER)
    return None


class _Staying(urllib.request.HTTPRedirectHandler):
    """The key goes to the service's own host, and not to wherever an answer points."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _answer(url: str, head: Mapping[str, str], timeout: float, data: bytes | None = None) -> Answer:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url
    if not url.startswith(("http://", "https://")):
        return Answer(host, None)
    try:
        request = urllib.request.Request(url, data, dict(head))
        with urllib.request.build_opener(_Staying).open(request, timeout=timeout) as reply:
            said = json.loads(reply.read(LONGEST))
    except urllib.error.HTTPError as problem:
        problem.close()
        return Answer(host, False if problem.code == 401 else None)
    except (OSError, ValueError, http.client.HTTPException, RecursionError):
        return Answer(host, None)
    if not isinstance(said, dict):
        return Answer(host, None)
    viewer = said["data"].get("viewer") if isinstance(said.get("data"), dict) else None
    return Answer(host, "data" not in said or bool(viewer))
