"""Lambda's REST API: the requests, their effects on the fleet, and the answers."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.emulator.catalog import LAMBDA_REGIONS, Offer, offers
from tests.emulator.faults import Fault, Faults
from tests.emulator.fleet import Fleet
from tests.emulator.machine import Machine
from tests.emulator.pods import Order

PREFIX = "/api/v1"


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message


def error(code: str, message: str) -> dict:
    """The JSON object that Lambda answers with every status but 200."""
    return {"error": {"code": code, "message": message, "suggestion": ""}}


@dataclass
class Account:
    """One request's view of the provider. `order` makes a VM's container; `fault` says how a created VM behaves."""

    fleet: Fleet
    faults: Faults
    order: Callable[[Machine, list[str]], Order]
    fault: Fault | None = None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict]:
        """Status and JSON object for one request below the prefix."""
        deeds = {
            "GET /instances": self.instances,
            "GET /instance-types": self.instance_types,
            "POST /instance-operations/launch": self.launch,
            "POST /instance-operations/terminate": self.terminate,
            "GET /ssh-keys": lambda _: self.fleet.state.memory.ssh_keys,
            "POST /ssh-keys": self.add_ssh_key,
            "GET /firewall-rules": lambda _: self.fleet.state.memory.firewall_rules,
            "PUT /firewall-rules": self.set_firewall_rules,
        }
        try:
            if f"{method} {path}" not in deeds:
                raise Refusal(404, "global/not-found", f"{method} {path} is not emulated")
            return 200, {"data": deeds[f"{method} {path}"](body)}
        except Refusal as e:
            return e.status, error(e.code, e.message)
        except (KeyError, TypeError) as e:
            return 400, error("global/invalid-parameters", f"Invalid request data: {e}")

    def instances(self, _: Any) -> list[dict]:
        return [self._instance(machine) for machine in self.fleet.alive("lambda")]

    def instance_types(self, _: Any) -> dict:
        return {type: self._type(offer) for type, offer in offers("lambda").items()}

    def launch(self, body: dict) -> dict:
        type, region = body["instance_type_name"], body["region_name"]
        if type not in offers("lambda"):
            raise Refusal(404, "global/object-does-not-exist", f"Instance type {type} does not exist.")
        if region not in self._regions(type):
            code = "instance-operations/launch/insufficient-capacity"
            raise Refusal(400, code, "Not enough capacity to fulfill launch request.")
        held = {key["name"]: key["public_key"] for key in self.fleet.state.memory.ssh_keys}
        if len(body["ssh_key_names"]) != 1 or not set(body["ssh_key_names"]) <= set(held):
            raise Refusal(400, "global/invalid-parameters", "Invalid request data: ssh_key_names")
        boot = self.fault.effect if self.fault and self.fault.effect in ("no ssh", "stuck") else "ok"
        names = {"ssh_key_names": body["ssh_key_names"]}
        machine = self.fleet.rent(offers("lambda")[type], body.get("name") or "", region, boot, names)
        self.fleet.boot(machine, self.order(machine, [held[name] for name in body["ssh_key_names"]]))
        return {"instance_ids": [machine.id]}

    def terminate(self, body: dict) -> dict:
        machines = [(id, self.fleet.find(id, "lambda")) for id in body["instance_ids"]]
        if missing := [id for id, machine in machines if machine is None]:
            raise Refusal(404, "global/object-does-not-exist", f"Specified instance does not exist: {missing[0]}")
        gone = []
        for _, machine in machines:
            if machine:
                gone.append({**self._instance(machine), "status": "terminating"})
                self.fleet.end(machine)
        return {"terminated_instances": gone}

    def add_ssh_key(self, body: dict) -> dict:
        key = {"id": secrets.token_hex(16), "name": body["name"], "public_key": body["public_key"]}
        with self.fleet.state.change() as memory:
            if key["name"] in (other["name"] for other in memory.ssh_keys):
                raise Refusal(400, "global/duplicate", f"An SSH key with the name {key['name']} already exists.")
            memory.ssh_keys.append(key)
        return key

    def set_firewall_rules(self, body: dict) -> list[dict]:
        with self.fleet.state.change() as memory:
            memory.firewall_rules = body["data"]
        return body["data"]

    def _instance(self, machine: Machine) -> dict:
        look = self.fleet.look(machine)
        instance = {
            "id": machine.id,
            "name": machine.name,
            "status": "active" if look else "booting" if self.fleet.booting(machine) else "unhealthy",
            "ssh_key_names": machine.extra["ssh_key_names"],
            "file_system_names": [],
            "region": {"name": machine.region, "description": machine.region},
            "instance_type": self._type(offers("lambda")[machine.type])["instance_type"],
            "hostname": f"{machine.id[:8]}.cloud.lambda.ai",
        }
        return instance | ({"ip": look.ports[22][0], "private_ip": look.inner} if look else {})

    def _type(self, offer: Offer) -> dict:
        specs = {"vcpus": offer.cpus, "memory_gib": offer.gibibytes, "storage_gib": 1400, "gpus": offer.count}
        return {
            "instance_type": {
                "name": offer.type,
                "description": f"{offer.count}x {offer.accelerator}" if offer.count else "CPU",
                "price_cents_per_hour": round(offer.price * 100),
                "specs": specs,
            },
            "regions_with_capacity_available": [
                {"name": region, "description": region} for region in self._regions(offer.type)
            ],
        }

    def _regions(self, type: str) -> list[str]:
        return [region for region in LAMBDA_REGIONS if self.faults.has(type, region)]
