"""What the two providers rent and for how much, and the same as the catalog files that SkyPilot reads."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUNPOD_ZONES = {"US": ("US-CA-2", "US-KS-2"), "RO": ("EU-RO-1",), "SE": ("EU-SE-1",)}
"""Data centres by country, which is what SkyPilot calls a region on RunPod."""
LAMBDA_REGIONS = ("us-east-1", "us-west-1")


@dataclass(frozen=True)
class Card:
    """A GPU: SkyPilot's name for it, RunPod's id and display name, its memory in GB."""

    name: str
    id: str
    display: str
    gigabytes: int


CARDS = {
    card.name: card
    for card in (
        Card("A100-80GB-SXM", "NVIDIA A100-SXM4-80GB", "A100 SXM", 80),
        Card("A100-80GB", "NVIDIA A100 80GB PCIe", "A100 PCIe", 80),
        Card("B200", "NVIDIA B200", "B200", 180),
        Card("H100", "NVIDIA H100 PCIe", "H100 PCIe", 80),
        Card("H100-SXM", "NVIDIA H100 80GB HBM3", "H100 SXM", 80),
        Card("H200-SXM", "NVIDIA H200", "H200 SXM", 141),
        Card("RTX4090", "NVIDIA GeForce RTX 4090", "RTX 4090", 24),
        Card("A10", "NVIDIA A10", "A10", 24),
        Card("A100", "NVIDIA A100-SXM4-40GB", "A100 SXM 40GB", 40),
        Card("A6000", "NVIDIA RTX A6000", "RTX A6000", 48),
    )
}


@dataclass(frozen=True)
class Offer:
    """One type of machine; `price` and `spot` in dollars per hour of the whole machine."""

    cloud: str
    type: str
    accelerator: str
    count: int
    cpus: int
    gibibytes: int
    price: float
    spot: float | None = None


def _runpod(accelerator: str, cpus: int, gibibytes: int, price: float, spot: float) -> Iterator[Offer]:
    for n in (1, 2, 4, 8):
        name = f"{n}x_{accelerator}_SECURE"
        money = round(n * price, 2), round(n * spot, 2)
        yield Offer("runpod", name, accelerator, n, n * cpus, n * gibibytes, *money)


OFFERS = (
    *_runpod("RTX4090", 6, 41, 0.69, 0.35),
    *_runpod("A100-80GB", 8, 117, 1.39, 0.79),
    *_runpod("A100-80GB-SXM", 16, 125, 1.49, 0.95),
    *_runpod("H100", 16, 188, 2.39, 1.25),
    *_runpod("H100-SXM", 20, 125, 2.99, 1.75),
    *_runpod("H200-SXM", 24, 188, 3.99, 2.29),
    *_runpod("B200", 28, 180, 6.79, 3.59),
    Offer("runpod", "cpu3c-2-4", "", 0, 2, 4, 0.06),
    Offer("runpod", "cpu3c-8-16", "", 0, 8, 16, 0.24),
    Offer("runpod", "cpu5c-4-8", "", 0, 4, 8, 0.14),
    Offer("lambda", "cpu_4x_general", "", 0, 4, 16, 0.20),
    Offer("lambda", "gpu_1x_a10", "A10", 1, 30, 200, 1.29),
    Offer("lambda", "gpu_4x_a6000", "A6000", 4, 56, 400, 4.36),
    Offer("lambda", "gpu_8x_a100", "A100", 8, 124, 1800, 15.92),
    Offer("lambda", "gpu_8x_a100_80gb_sxm4", "A100-80GB", 8, 240, 1800, 22.32),
    Offer("lambda", "gpu_1x_h100_pcie", "H100", 1, 26, 200, 3.29),
    Offer("lambda", "gpu_2x_h100_sxm5", "H100", 2, 52, 450, 8.38),
    Offer("lambda", "gpu_8x_h100_sxm5", "H100", 8, 208, 1800, 31.92),
    Offer("lambda", "gpu_1x_b200_sxm6", "B200", 1, 26, 360, 6.99),
    Offer("lambda", "gpu_8x_b200_sxm6", "B200", 8, 208, 2900, 53.52),
)


def offers(cloud: str) -> dict[str, Offer]:
    """A provider's machine types by their names."""
    return {offer.type: offer for offer in OFFERS if offer.cloud == cloud}


def write(home: Path) -> None:
    """SkyPilot finds the catalogs of both providers below this home and downloads none: without a checksum beside
    them, it takes them for edited by the user."""
    folder = home / ".sky" / "catalogs" / "v8"
    runpod = [
        {**_row(offer), "Region": region, "AvailabilityZone": zone}
        for offer in offers("runpod").values()
        for region, zones in RUNPOD_ZONES.items()
        for zone in zones
    ]
    lambda_ = [{**_row(offer), "Region": region} for offer in offers("lambda").values() for region in LAMBDA_REGIONS]
    clouds: dict[str, set[str]] = {}
    for offer in OFFERS:
        if offer.accelerator:
            clouds.setdefault(offer.accelerator, set()).add({"runpod": "RunPod", "lambda": "Lambda"}[offer.cloud])
    _write(folder / "runpod" / "vms.csv", runpod)
    _write(folder / "lambda" / "vms.csv", lambda_)
    _write(
        folder / "common" / "accelerators.csv",
        [{"AcceleratorName": name, "Clouds": sorted(clouds[name])} for name in sorted(clouds)],
    )


def _row(offer: Offer) -> dict[str, object]:
    return {
        "InstanceType": offer.type,
        "AcceleratorName": offer.accelerator,
        "AcceleratorCount": float(offer.count) if offer.count else "",
        "vCPUs": float(offer.cpus),
        "MemoryGiB": float(offer.gibibytes),
        "Price": offer.price,
        "SpotPrice": offer.spot or "",
        "GpuInfo": _gpus(offer) if offer.accelerator else "",
    }


def _gpus(offer: Offer) -> str:
    size = CARDS[offer.accelerator].gigabytes * 1024
    gpu = {
        "Name": offer.accelerator,
        "Manufacturer": "NVIDIA",
        "Count": float(offer.count),
        "MemoryInfo": {"SizeInMiB": size},
    }
    return str({"Gpus": [gpu], "TotalGpuMemoryInMiB": size * offer.count})


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
