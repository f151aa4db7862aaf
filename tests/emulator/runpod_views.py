"""Pods and GPUs in the words of RunPod's API."""

import os

from tests.emulator.catalog import CARDS, Offer, offers
from tests.emulator.fleet import Fleet
from tests.emulator.machine import Machine

CPUS = min(4, os.cpu_count() or 1)
"""What a pod says it has: Ray starts that many workers, so not the hundreds of a rented machine."""


def pod(machine: Machine, fleet: Fleet) -> dict:
    """A pod as the API describes it; `runtime` is null until the container runs."""
    input, look = machine.extra, fleet.look(machine)
    age = int(fleet.clock() - machine.began)
    runtime: dict | None = None
    if look:
        runtime = {"uptimeInSeconds": age, "ports": []}
        for port, kind in ports(machine):
            ip, outer = look.ports.get(port, (look.inner, port))
            seen = {"ip": ip, "isIpPublic": port in look.ports, "privatePort": port, "publicPort": outer, "type": kind}
            runtime["ports"].append(seen)
    card = next((card for card in CARDS.values() if card.id == input.get("gpuTypeId")), None)
    return {
        **{key: input.get(key) for key in ("containerDiskInGb", "dockerArgs", "ports", "volumeMountPath")},
        "id": machine.id,
        "name": machine.name,
        "desiredStatus": "RUNNING",
        "imageName": input["imageName"],
        "machineId": f"host-{machine.id}",
        "costPerHr": machine.price,
        "env": [f"{e['key']}={e['value']}" for e in input.get("env") or []],
        "gpuCount": input.get("gpuCount", 0),
        "memoryInGb": offers("runpod")[machine.type].gibibytes,
        "podType": "INTERRUPTABLE" if input.get("spot") else "RESERVED",
        "uptimeSeconds": age,
        "vcpuCount": CPUS,
        "volumeInGb": input.get("volumeInGb", 0),
        "networkVolumeId": input.get("networkVolumeId"),
        "runtime": runtime,
        "machine": {"gpuDisplayName": card.display if card else "unknown", "podHostId": f"{machine.id}-host"},
    }


def ports(machine: Machine) -> list[tuple[int, str]]:
    """The container ports that were asked for, each with `tcp` or `http`."""
    pairs = [port.split("/") for port in (machine.extra.get("ports") or "").split(",") if port]
    return [(int(port), kind) for port, kind in pairs]


def gpu(offer: Offer) -> dict:
    """A kind of GPU as the API describes it, from the offer of one of them."""
    card = CARDS[offer.accelerator]
    return {
        "id": card.id,
        "displayName": card.display,
        "manufacturer": "Nvidia",
        "memoryInGb": card.gigabytes,
        "maxGpuCount": 8,
        "secureCloud": True,
        "communityCloud": False,
        "securePrice": offer.price,
        "secureSpotPrice": offer.spot,
        "lowestPrice": {"minimumBidPrice": offer.spot, "uninterruptablePrice": offer.price},
    }
