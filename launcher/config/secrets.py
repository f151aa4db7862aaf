"""Secrets by reference: the plan has their names, site.yaml says where their values are, and nothing shows a value."""

import contextlib
import netrc
from collections.abc import Mapping
from pathlib import Path

from launcher.config.site import SiteFile, expand_home
from launcher.errors import LaunchError
from launcher.runfolder.plan import Plan


class Values(dict[str, str]):
    """Names and values of secrets; shown, it has the names only."""

    def __repr__(self) -> str:
        return f"Values({', '.join(self)})"

    __str__ = __repr__


def values(plan: Plan, site: SiteFile, env: Mapping[str, str]) -> Values:
    """What the run is given, of the secrets it names, as far as there is a value. Raises LaunchError when a reference
    of site.yaml leads nowhere."""
    pairs = {name: lookup(name, site, env) for name in plan.secrets}
    return Values({name: pair[1] for name, pair in pairs.items() if pair})


def login(site: SiteFile, env: Mapping[str, str]) -> Values:
    """SkyPilot's words for the registry's account; empty without `registry_login`. Raises LaunchError."""
    if site.registry_login is None:
        return Values()
    if site.registry is None:
        raise LaunchError("site.yaml has `registry_login` and no `registry`", "name it: `registry: ghcr.io/acme`")
    account = site.registry_login
    password = look(account.password, env)
    if password is None:
        raise LaunchError(
            f"site.yaml: `registry_login.password` is `{account.password}`, where there is nothing",
            remedy(account.password),
        )
    return Values(
        SKYPILOT_DOCKER_USERNAME=account.username,
        SKYPILOT_DOCKER_PASSWORD=password,
        SKYPILOT_DOCKER_SERVER=server(site.registry),
    )


def server(registry: str) -> str:
    """`ghcr.io` of `ghcr.io/acme`; a registry without a host is Docker Hub."""
    host = registry.partition("/")[0]
    return host if "." in host or ":" in host or host == "localhost" else "docker.io"


def references(name: str, site: SiteFile, env: Mapping[str, str]) -> list[str]:
    """Where the secret is looked for: where site.yaml says, or else in the environment and in the file that the
    service's own login command writes."""
    if name in site.secrets:
        return [site.secrets[name]]
    cache = Path(env.get("HF_HOME") or "~/.cache/huggingface")
    own = {
        "HF_TOKEN": f"file:{env.get('HF_TOKEN_PATH') or cache / 'token'}",
        "WANDB_API_KEY": "netrc:api.wandb.ai",
    }
    return [f"env:{name}", *([own[name]] if name in own else [])]


def lookup(name: str, site: SiteFile, env: Mapping[str, str]) -> tuple[str, str] | None:
    """The first reference that has a value, and the value. Raises LaunchError when site.yaml's has none."""
    for reference in references(name, site, env):
        if value := look(reference, env):
            return reference, value
    if name in site.secrets:
        where = site.secrets[name]
        raise LaunchError(f"site.yaml: `secrets.{name}` is `{where}`, where there is nothing", remedy(where))
    return None


def look(reference: str, env: Mapping[str, str]) -> str | None:
    """What is at `env:NAME`, `file:PATH`, `netrc:HOST` or `keyring:SERVICE/USER`; None when there is nothing. Raises
    LaunchError for a keyring without its package."""
    kind, _, address = reference.partition(":")
    if kind == "env":
        text = env.get(address)
    elif kind == "file":
        text = _file(_path(address, env))
    elif kind == "netrc":
        text = _netrc(address, _path(env.get("NETRC") or "~/.netrc", env))
    else:
        text = _keyring(*address.rpartition("/")[::2])
    return (text or "").strip() or None


def remedy(reference: str) -> str:
    """What puts a value there."""
    kind, _, address = reference.partition(":")
    return {
        "env": f"`export {address}=...`",
        "file": f"write it to `{address}`, for yourself alone: `umask 077`",
        "netrc": f"add `machine {address} login user password ...` to ~/.netrc",
        "keyring": f"`keyring set {' '.join(address.rpartition('/')[::2])}`",
    }[kind]


def _path(text: str, env: Mapping[str, str]) -> Path:
    return Path(env["HOME"], text[2:]) if text.startswith("~/") and env.get("HOME") else expand_home(text)


def _file(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):  # no such file is no secret
        return path.read_text(encoding="utf-8")
    return None


def _netrc(host: str, path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError, netrc.NetrcParseError):  # no such file is no secret
        account = netrc.netrc(path).authenticators(host)
        return account[2] if account else None
    return None


def _keyring(service: str, user: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise LaunchError(
            f"`keyring:{service}/{user}` needs the package `keyring`, which is not installed",
            "`.venv/bin/python -m pip install keyring`, or name an `env:` or `file:` reference",
        ) from None
    try:
        password: str | None = keyring.get_password(service, user)
    except KeyringError as problem:
        raise LaunchError(
            f"`keyring:{service}/{user}`: the keyring does not open: {problem}", "unlock it, or name another reference"
        ) from None
    return password
