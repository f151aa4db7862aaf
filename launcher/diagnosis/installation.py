"""Is everything here that a launch may need? A finding for each thing; nothing is asked over a network."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from launcher.backends.local import find_python
from launcher.clouds import providers
from launcher.clouds.ledger import ledger
from launcher.config.secrets import lookup, references, remedy
from launcher.config.site import SiteFile, site_path
from launcher.errors import LaunchError
from launcher.format import size
from launcher.images.docker_engine import cards, connect, facts
from launcher.preflight.access import credentials
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding

SECRETS = ("HF_TOKEN", "WANDB_API_KEY")
LEAST = 20 * 10**9
"""Bytes: an image alone takes more."""


def look(root: Path, site: SiteFile, env: Mapping[str, str]) -> list[Finding]:
    """`root` should hold recipes/."""
    return [
        _python(),
        _site(env),
        _recipes(root, site),
        _engine(),
        _gpus(),
        _skypilot(),
        *_clouds(env),
        *_secrets(site, env),
        *_programs(site),
        _disk(site.local_store),
        _machines(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", OK, f"{version}, {sys.executable}")


def _site(env: Mapping[str, str]) -> Finding:
    path = site_path(env)
    return Finding("site.yaml", OK, str(path) if path.exists() else f"there is no {path} (optional): defaults are used")


def _recipes(root: Path, site: SiteFile) -> Finding:
    """Where stages run on this machine."""
    if not (root / "recipes").is_dir():
        return Finding(
            "recipes", WARNING, f"there are no recipes under {root}", "run `launcher` in the project's folder"
        )
    try:
        python = find_python(root, site.local.python)
    except LaunchError as problem:
        return Finding("environment", WARNING, problem.error, problem.hint)
    return Finding("environment", OK, f"stages on this machine run with {python}")


def _engine() -> Finding:
    try:
        client = connect()
    except LaunchError as problem:
        return Finding("docker", WARNING, problem.error, f"{problem.hint}; only `--cloud docker` and images need it")
    try:
        info = client.info()
    except OSError as problem:
        return Finding("docker", WARNING, f"the engine does not answer: {problem}", "restart Docker")
    finally:
        client.close()
    memory = size(facts(info).memory)
    return Finding("docker", OK, f"engine {info.get('ServerVersion', 'of an unknown version')}, {memory} of memory")


def _gpus() -> Finding:
    found = cards()
    return Finding("gpus", OK, f"{len(found)} x {found[0].name}, {size(found[0].memory)}" if found else "none here")


def _skypilot() -> Finding:
    pins = importlib.metadata.requires("launcher") or []
    wanted = next((one.split(";")[0].partition("==")[2].strip() for one in pins if one.startswith("skypilot")), "")
    try:
        version = importlib.metadata.version("skypilot")
    except importlib.metadata.PackageNotFoundError:
        return Finding("skypilot", WARNING, "not installed", "`make setup-clouds`; only rented machines need it")
    if wanted and version != wanted:
        return Finding("skypilot", WARNING, f"{version}, this launcher is for {wanted}", "`make setup-clouds`")
    return Finding("skypilot", OK, version)


def _clouds(env: Mapping[str, str]) -> Iterator[Finding]:
    """Whose key files are here."""
    home = Path(env.get("HOME", "~")).expanduser()
    for row in providers.PROVIDERS:
        found = credentials([row.name], home)
        level = WARNING if found.level == REFUSED else OK
        yield Finding(row.name, level, found.says, found.hint)
    says = "not checked: access to other clouds that SkyPilot knows, which are experimental"
    yield Finding("other clouds", UNKNOWN, says, "`sky check` checks it")


def _secrets(site: SiteFile, env: Mapping[str, str]) -> Iterator[Finding]:
    """Where each secret's value is; never the value."""
    for name in dict.fromkeys([*SECRETS, *site.secrets]):
        try:
            found = lookup(name, site, env)
        except LaunchError as problem:
            yield Finding(name, WARNING, problem.error, problem.hint)
            continue
        looked = references(name, site, env)
        yield (
            Finding(name, OK, found[0])
            if found
            else Finding(name, WARNING, f"not set: looked at {', '.join(looked)}", remedy(looked[0]))
        )


def _programs(site: SiteFile) -> Iterator[Finding]:
    """What is started beside Python."""
    wanted = ["git", "ssh", "rsync", *(["rclone"] if site.bucket else [])]
    absent = [name for name in wanted if not shutil.which(name)]
    if absent:
        yield Finding("programs", WARNING, f"not here: {', '.join(absent)}", f"`apt install {' '.join(absent)}`")
    else:
        yield Finding("programs", OK, ", ".join(wanted))


def _disk(place: Path) -> Finding:
    where = place.absolute()
    while not where.exists():
        where = where.parent
    if not os.access(where, os.W_OK):
        return Finding("disk", REFUSED, f"{where} cannot be written to", "name another place: `runs:` in site.yaml")
    free = shutil.disk_usage(where).free
    if free < LEAST:
        return Finding("disk", WARNING, f"{size(free)} free under {where}", "make room, or `store:` in site.yaml")
    return Finding("disk", OK, f"{size(free)} free under {where}")


def _machines() -> Finding:
    alive = ledger().alive()
    if alive:
        names = ", ".join(f"`{one.run}`" for one in alive)
        return Finding("machines", WARNING, f"{len(alive)} may cost money: {names}", "`launcher runs` shows them")
    return Finding("machines", OK, "no machine in the local ledger; providers were not asked")
