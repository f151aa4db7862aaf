"""Can SkyPilot open the user's account at each cloud? Only the files are looked at; the cloud is asked later."""

import re
from collections.abc import Iterable
from pathlib import Path

from launcher.clouds.providers import Provider, provider
from launcher.config.slurm import SlurmSite
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding

CLUSTERS = Path(".slurm/config")
"""In ssh's own words (sky/provision/slurm/utils.py)."""


def check(clouds: Iterable[str], home: Path) -> Finding:
    """Refused when a cloud's key file is absent or says no key; unknown of a cloud without a row in the table."""
    found, unknown = [], []
    for cloud in clouds:
        if row := provider(cloud):
            place = f"~/{row.key_file}"
            if fault := _fault(row, home / row.key_file):
                hint = f"make a key at {row.key_page}, write {row.key_line} there, then `chmod 600 {place}`"
                return Finding("credentials", REFUSED, f"`{place}` {fault}", hint)
            found.append(place)
        else:
            unknown.append(cloud)
    if unknown:
        names = " and ".join(unknown)
        return Finding(
            "credentials",
            UNKNOWN,
            " ".join([*found, f"not checked: SkyPilot's access to {names}"]),
            f"`sky check {' '.join(unknown)}` checks it",
        )
    return Finding("credentials", OK, " ".join(found))


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
