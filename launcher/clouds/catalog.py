"""SkyPilot's price lists as they lie on this machine. For clouds in the table of providers SkyPilot itself is not
imported, which takes seconds; for an experimental cloud it says which of the listed machines it would take."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.clouds import skypilot
from launcher.clouds.accelerators import for_cloud
from launcher.clouds.providers import experimental
from launcher.config.job import Job

DAY = 86400.0


@dataclass(frozen=True)
class Kind:
    """A kind of machine that a cloud rents at one price in dollars an hour, and where; `memory` in GiB."""

    name: str
    accelerator: str
    count: int
    cpus: float
    memory: float
    price: float
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Catalog:
    """A cloud's price list; `age` in days since it was fetched."""

    cloud: str
    kinds: tuple[Kind, ...]
    age: float = 0.0


def folder(env: Mapping[str, str]) -> Path:
    """Where SkyPilot 0.14.1 keeps the lists (sky/catalog/common.py)."""
    return Path(env.get("SKY_RUNTIME_DIR") or env.get("HOME") or Path.home()) / ".sky" / "catalogs" / "v8"


def read_catalogs(clouds: Iterable[str], path: Path, now: float, job: Job | None = None) -> dict[str, Catalog]:
    """The lists below `path` that are there and whole. Of an experimental cloud's only the machines that fit the
    job."""
    catalogs: dict[str, Catalog] = {}
    for cloud in clouds:
        file = path / cloud / "vms.csv"
        try:
            age = (now - file.stat().st_mtime) / DAY
            if (rows := _rows(cloud, file, job)) is not None:
                catalogs[cloud] = Catalog(cloud, kinds(rows), age)
        except (OSError, KeyError, ValueError, OverflowError, csv.Error):
            continue
    return catalogs


def _rows(cloud: str, file: Path, job: Job | None) -> Iterable[Mapping[str, Any]] | None:
    if not experimental([cloud]):
        with open(file, newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))
    if job is None:
        return None
    return skypilot.machine_rows(cloud, for_cloud(job.accelerators, cloud), job.cpus, job.memory)


def kinds(rows: Iterable[Mapping[str, Any]]) -> tuple[Kind, ...]:
    """A list's rows, one for each region or zone, as one kind a machine and price. Rows without a price are left out.
    Raises KeyError or ValueError when they are no such rows."""
    machines: dict[tuple[str, float], tuple[Mapping[str, Any], dict[str, None]]] = {}
    for row in rows:
        if 0 < float(row["Price"] or 0) < math.inf:
            machines.setdefault((row["InstanceType"], float(row["Price"])), (row, {}))[1][row["Region"]] = None
    return tuple(
        Kind(
            name,
            row["AcceleratorName"] or "",
            int(float(row["AcceleratorCount"] or 0)),
            float(row["vCPUs"] or 0),
            float(row["MemoryGiB"] or 0),
            price,
            tuple(regions),
        )
        for (name, price), (row, regions) in machines.items()
    )
