"""Are the credentials there that the run needs, and do they look like what they are? No value is ever shown."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.config.secrets import found_at, helps, login
from launcher.config.site import SiteFile
from launcher.errors import LaunchError
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.runfolder.plan import Plan

SHAPES = {
    "HF_TOKEN": r"hf_[A-Za-z0-9]{34,}",
    "WANDB_API_KEY": r"[0-9a-f]{40}|[A-Za-z0-9_-]{41,}",
    "AWS_ACCESS_KEY_ID": r"(AKIA|ASIA)[A-Z0-9]{16}|[0-9a-f]{32}",  # AWS's own, R2's
    "AWS_SECRET_ACCESS_KEY": r"[A-Za-z0-9/+=]{40}|[0-9a-f]{64}",
}
"""How the services' keys look today."""
TIMEOUT = 4.0
"""Seconds; who has no network is not to wait for it."""
LONGEST = 1 << 20
"""Bytes read of an answer."""
VIEWER = json.dumps({"query": "query Viewer { viewer { username } }"}).encode()


def check(plan: Plan, site: SiteFile, env: Mapping[str, str]) -> Finding:
    """Refused when one that is needed is not where it should be; one without the shape of a key is a warning."""
    try:
        found = {name: found_at(name, site, env) for name in plan.secrets}
        login(site, env)
    except LaunchError as problem:
        return Finding("secrets", REFUSED, problem.error, problem.hint)
    absent = [name for name, required in plan.secrets.items() if required and not found[name]]
    if absent:
        return Finding("secrets", REFUSED, f"not set: {', '.join(absent)}", helps(f"env:{absent[0]}"))
    odd = [
        f"{name} ({one[0]})"
        for name, one in found.items()
        if one and name in SHAPES and not re.fullmatch(SHAPES[name], one[1])
    ]
    if odd:
        verb = "do not look like keys" if len(odd) > 1 else "does not look like one"
        return Finding("secrets", WARNING, f"{', '.join(odd)} {verb}", "copy it again, whole and without quotes")
    unset = [name for name, one in found.items() if not one]
    return Finding("secrets", OK, f"optional and not set: {', '.join(unset)}" if unset else "all set")


def accounts(plan: Plan, site: SiteFile, env: Mapping[str, str]) -> Finding:
    """Refused when a service does not know its key; one that does not answer is no reason to stop. `check` comes
    first."""
    says, level, hint = [], OK, ""
    for name in plan.secrets:
        found = found_at(name, site, env)
        answer = ask(name, found[1], env) if found else None
        if not found or not answer:
            continue
        if answer.valid is False:
            hint = hint or f"make a new one and put it where it is read: {helps(found[0])}"
            level = REFUSED
            says.append(f"{answer.service} does not know {name} ({found[0]})")
        else:
            says.append(
                f"{name} not checked: no answer from {answer.service}" if answer.valid is None else f"{name} is valid"
            )
    return Finding("accounts", level, "; ".join(says) or "no key to check", hint)


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


def _answer(url: str, head: Mapping[str, str], timeout: float, data: bytes | None = None) -> Answer:
    import http.client  # a plan has no use for them
    import urllib.error
    import urllib.request

    class Staying(urllib.request.HTTPRedirectHandler):
        """The key goes to the service's own host, and not to wherever an answer points."""

        def redirect_request(self, *_: Any) -> None:
            return None

    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2] or url
    if not url.startswith(("http://", "https://")):
        return Answer(host, None)
    try:
        request = urllib.request.Request(url, data, dict(head))
        with urllib.request.build_opener(Staying).open(request, timeout=timeout) as reply:
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
