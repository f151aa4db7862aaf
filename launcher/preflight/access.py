"""Can the run get what it needs from elsewhere: accounts, secrets, commits, images? No secret value is ever shown."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.clouds.providers import Provider, provider
from launcher.config.pins import COMMIT
from launcher.config.secrets import login, lookup, remedy
from launcher.config.site import SiteFile
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.planning.lock import git_commit, git_refs
from launcher.planning.plan import loose_pins
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.runfolder.plan import Plan, Source

CLUSTERS = Path(".slurm/config")
"""In ssh's own words (sky/provision/slurm/utils.py)."""


def credentials(clouds: Iterable[str], home: Path) -> Finding:
    """Can SkyPilot open the user's account at each cloud? Only the files are looked at; the cloud is asked later.

    Refused when a cloud's key file is absent or says no key; unknown for a cloud without a row in the table."""
    files, unknown = [], []
    for cloud in clouds:
        if row := provider(cloud):
            path = f"~/{row.key_file}"
            if fault := _fault(row, home / row.key_file):
                hint = f"make a key at {row.key_page}, write {row.key_line} there, then `chmod 600 {path}`"
                return Finding("credentials", REFUSED, f"`{path}` {fault}", hint)
            files.append(path)
        else:
            unknown.append(cloud)
    if unknown:
        names = " and ".join(unknown)
        return Finding(
            "credentials",
            UNKNOWN,
            " ".join([*files, f"not checked: SkyPilot's access to {names}"]),
            f"`sky check {' '.join(unknown)}` checks it",
        )
    return Finding("credentials", OK, " ".join(files))


def cluster(site: SlurmSite, home: Path) -> Finding:
    """Refused when SkyPilot's own file of Slurm clusters does not have the login node that site.yaml names."""
    try:
        text = (home / CLUSTERS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    hosts = [name for line in re.findall(r"^[ \t]*Host[ \t=]+(.+)$", text, re.M | re.I) for name in line.split()]
    if site.host in hosts:
        return Finding("credentials", OK, f"~/{CLUSTERS}")
    lines = f"`Host {site.host}`, and below it `HostName`, `User` and `IdentityFile`, as in ~/.ssh/config"
    return Finding("credentials", REFUSED, f"`~/{CLUSTERS}` has no `Host {site.host}`", f"write there: {lines}")


def _fault(row: Provider, path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "does not exist"
    except (OSError, UnicodeDecodeError):
        return "cannot be read"
    return row.key_fault(text)


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


def secrets(plan: Plan, site: SiteFile, env: Mapping[str, str]) -> Finding:
    """Are the credentials there that the run needs, and do they look like what they are? No value is ever shown.

    Refused when one that is needed is not where it should be; one without the shape of a key is a warning."""
    try:
        values = {name: lookup(name, site, env) for name in plan.secrets}
        login(site, env)
    except LaunchError as problem:
        return Finding("secrets", REFUSED, problem.error, problem.hint)
    absent = [name for name, required in plan.secrets.items() if required and not values[name]]
    if absent:
        return Finding("secrets", REFUSED, f"not set: {', '.join(absent)}", remedy(f"env:{absent[0]}"))
    odd = [
        f"{name} ({value[0]})"
        for name, value in values.items()
        if value and name in SHAPES and not re.fullmatch(SHAPES[name], value[1])
    ]
    if odd:
        verb = "do not look like keys" if len(odd) > 1 else "does not look like one"
        return Finding("secrets", WARNING, f"{', '.join(odd)} {verb}", "copy it again, whole and without quotes")
    unset = [name for name, value in values.items() if not value]
    return Finding("secrets", OK, f"optional and not set: {', '.join(unset)}" if unset else "all set")


def accounts(plan: Plan, site: SiteFile, env: Mapping[str, str]) -> Finding:
    """Do the services that the run uses know their keys?

    Refused when a service does not know its key; unknown where one does not answer, which stops nothing. `secrets`
    comes first."""
    says, level, hint = [], OK, ""
    for name in plan.secrets:
        value = lookup(name, site, env)
        answer = ask(name, value[1], env) if value else None
        if not value or not answer:
            continue
        if answer.valid is False:
            hint = hint or f"make a new one and put it where it is read: {remedy(value[0])}"
            level = REFUSED
            says.append(f"{answer.service} does not know {name} ({value[0]})")
        elif answer.valid is None:
            level = level if level == REFUSED else UNKNOWN
            says.append(f"{name} not checked: no answer from {answer.service}")
        else:
            says.append(f"{name} is valid")
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
        login_text = base64.b64encode(f"api:{value}".encode(errors="replace")).decode()
        head = {"Authorization": f"Basic {login_text}", "Content-Type": "application/json"}
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


def pins(plan: Plan, paid: bool) -> Finding:
    """Is every pin a commit, so that the run can be repeated?

    A revision that is not locked is refused where a machine is paid, and warned of elsewhere."""
    loose = loose_pins(plan)
    if loose:
        return Finding(
            "pins",
            REFUSED if paid else WARNING,
            f"not locked to a commit: {', '.join(loose)}",
            f"run `launcher lock {plan.recipe}` and commit the lock file",
        )
    if plan.code.dirty:
        baked = plan.image is not None and not plan.image.overlay
        laid = ", and replaces the code in the image" if plan.image and plan.image.overlay else ""
        return Finding(
            "pins",
            REFUSED if baked else WARNING,
            f"the code has changes that are not committed{laid}",
            "commit them, so that the run can be repeated" + ("; or launch with `--dirty`" if baked else ""),
        )
    count = len(plan.models) + len(plan.sources) + len(plan.inputs) + len(plan.packages)
    return Finding("pins", OK, f"{count} pins, code {plan.code.tree[:12]}")


def sources(plan: Plan, paid: bool) -> Finding:
    """Can the node have the git commits that stages import? Every repository is asked for the ref that was locked.

    A repository that cannot be read, or a ref that is gone, is refused where a machine is paid, and warned of
    elsewhere, where its checkout may be there already. A branch that went on is no fault: the commit is what counts."""
    said = []
    for pin in plan.sources.values():
        try:
            said.append(_stands(pin))
        except LaunchError as problem:
            return Finding("sources", REFUSED if paid else WARNING, problem.error, problem.hint)
    return Finding("sources", OK, "; ".join(said) or "no stage imports a git repository")


def _stands(pin: Source) -> str:
    name = f"{pin.git}@{pin.ref}"
    if COMMIT.fullmatch(pin.ref):
        git_refs(pin.git, ["HEAD"])
        return f"{pin.git} answers"
    newest = git_commit(pin.git, pin.ref)
    return name if newest == pin.commit else f"{name} is at {newest[:12]} now, the run takes {pin.commit[:12]}"


def image(plan: Plan) -> Finding:
    """Is the recipe's image there, and is it the one that the plan names?

    Refused when this machine's engine does not have it."""
    assert plan.image
    if plan.image.digest is None:
        return Finding(
            "image",
            REFUSED,
            f"this machine has no image `{plan.image.name}`, or no Docker engine answers",
            f"`make image RECIPE={plan.recipe}` builds it; `docker info` says whether an engine answers",
        )
    return Finding("image", OK, f"{plan.image.name}, {plan.image.digest.removeprefix('sha256:')[:12]}")


def in_registry(plan: Plan, registry: str | None) -> Finding:
    """Refused where a cluster could not fetch the image: it is in no registry, or is not what is baked into it. Unknown
    otherwise: the registry is not asked."""
    assert plan.image
    where = f"`slurm.software: {plan.machine.software}`"
    if plan.image.overlay:
        error = f"{where}: on a cluster, code that is not committed cannot replace the code in an image"
        return Finding("image", REFUSED, error, "commit and push the image again, or use `slurm.software: environment`")
    if registry is None and "/" not in plan.image.name:
        hint = f"`registry: ghcr.io/acme` in site.yaml, then `make image RECIPE={plan.recipe} PUSH=ghcr.io/acme`"
        return Finding(
            "image", REFUSED, f"{where} needs an image from a registry, but site.yaml names no registry", hint
        )
    says = f"not checked: whether the registry has `{plan.image.name}`, for {plan.machine.software}"
    return Finding("image", UNKNOWN, says, f"`docker manifest inspect {plan.image.name}` checks it")
