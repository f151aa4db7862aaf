"""Can SkyPilot open the user's account at each cloud? Only the files are looked at; the cloud is asked later."""

import re
from collections.abc import Iterable
from pathlib import Path

from launcher.config.slurm import SlurmSite
from launcher.preflight.finding import OK, REFUSED, Finding

PLACES = {"runpod": Path(".runpod/config.toml"), "lambda": Path(".lambda_cloud/lambda_keys")}
"""Below the home folder (sky/clouds/runpod.py, sky/provision/lambda_cloud/lambda_utils.py)."""
CLUSTERS = Path(".slurm/config")
"""In ssh's own words (sky/provision/slurm/utils.py)."""
LINES = {"runpod": '`[default]` and `api_key = "KEY"`', "lambda": "`api_key = KEY`, with its spaces"}
"""What they have to hold."""
SOURCES = {"runpod": "console.runpod.io/user/settings", "lambda": "cloud.lambda.ai/api-keys"}


def check(clouds: Iterable[str], home: Path) -> Finding:
    """Refused when a cloud's key file is absent or says no key."""
    found = []
    for cloud in clouds:
        if cloud in PLACES:
            path = home / PLACES[cloud]
            wrong = _fault(cloud, path)
            if wrong:
                place = f"~/{PLACES[cloud]}"
                hint = f"make a key at {SOURCES[cloud]}, write {LINES[cloud]} there, then `chmod 600 {place}`"
                return Finding("credentials", REFUSED, f"`{place}` {wrong}", hint)
            found.append(f"~/{PLACES[cloud]}")
    return Finding("credentials", OK, " ".join(found) or "none are looked at")


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


def _fault(cloud: str, path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "does not exist"
    except (OSError, UnicodeDecodeError):
        return "cannot be read"
    if cloud == "lambda":
        lines = [line.strip() for line in text.splitlines()]
        return None if any(re.fullmatch(r"api_key = \S+", line) for line in lines) else "has no line `api_key = KEY`"
    section = re.search(r"^[ \t]*\[default\][ \t]*(#[^\n]*)?$(.*?)(?=^[ \t]*\[|\Z)", text, re.M | re.S)
    if section is None:
        return "has no section `[default]`"
    key = re.search(r"^[ \t]*api_key[ \t]*=[ \t]*(\"[^\"\s]+\"|'[^'\s]+')[ \t]*(#.*)?$", section[2], re.M)
    return None if key else 'has no line `api_key = "KEY"` in its section `[default]`'
