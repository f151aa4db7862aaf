"""SkyPilot's price lists as they lie on this machine. SkyPilot itself is not imported: that takes seconds."""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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


def read_catalogs(clouds: Iterable[str], place: Path, now: float) -> dict[str, Catalog]:
    """The lists that are there and whole."""
    found: dict[str, Catalog] = {}
    for cloud in clouds:
        path = place / cloud / "vms.csv"
        try:
            with open(path, newline="", encoding="utf-8") as file:
                found[cloud] = Catalog(cloud, kinds(csv.DictReader(file)), (now - path.stat().st_mtime) / DAY)
        except (OSError, KeyError, ValueError, OverflowError, csv.Error):
            continue
    return found


def kinds(rows: Iterable[Mapping[str, str]]) -> tuple[Kind, ...]:
    """A list's rows, one for each region or zone, as one kind a machine and price. Rows without a price are left out.
    Raises KeyError or ValueError when they are no such rows."""
    found: dict[tuple[str, float], tuple[Mapping[str, str], dict[str, None]]] = {}
    for row in rows:
        if 0 < float(row["Price"] or 0) < math.inf:
            found.setdefault((row["InstanceType"], float(row["Price"])), (row, {}))[1][row["Region"]] = None
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
        for (name, price), (row, regions) in found.items()
    )
