"""RunPod's GraphQL API: the operations, their effects on the fleet, and the answers."""

import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    build_schema,
    graphql_sync,
    parse,
)

from tests.emulator.catalog import CARDS, offers
from tests.emulator.faults import Fault, Faults
from tests.emulator.fleet import Fleet
from tests.emulator.machine import Machine
from tests.emulator.pods import Order
from tests.emulator.runpod_views import gpu, pod, ports

SCHEMA: GraphQLSchema = build_schema(Path(__file__).with_name("runpod.graphql").read_text())
SOLD_OUT = (
    "There are no longer any instances available with the requested specifications. Please refresh and try again."
)


def operation(query: str) -> str:
    """What is asked, for faults and records: the first field, and for `myself` which of its lists is wanted."""
    try:
        definition = parse(query).definitions[0]
    except GraphQLSyntaxError:
        return "?"
    if not isinstance(definition, OperationDefinitionNode):
        return "?"
    field = definition.selection_set.selections[0]
    if not isinstance(field, FieldNode):
        return "?"
    within = field.selection_set.selections if field.selection_set else ()
    names = [inner.name.value for inner in within if isinstance(inner, FieldNode)]
    lists = [name for name in ("pods", "podTemplates") if field.name.value == "myself" and name in names]
    return ".".join([field.name.value, *lists])


def answer(query: str, root: "Root") -> dict:
    """The JSON object that RunPod answers; what is not in its schema is an error."""
    result = graphql_sync(SCHEMA, query, root)
    if result.errors:
        return {"errors": [{"message": error.message} for error in result.errors], "data": None}
    return {"data": result.data}


@dataclass
class Root:
    """One request's view of the provider: a method for each operation. `fault` says how a created pod behaves."""

    fleet: Fleet
    faults: Faults
    inner_url: str | None
    fault: Fault | None = None

    def myself(self, info) -> dict:
        memory = self.fleet.state.memory
        return {
            "id": "user_emulated",
            "pubKey": memory.public_key,
            "networkVolumes": [],
            "pods": lambda info: [pod(machine, self.fleet) for machine in self.fleet.alive("runpod")],
            "podTemplates": list(memory.templates.values()),
        }

    def pod(self, info, input: dict) -> dict | None:
        machine = self.fleet.find(input["podId"], "runpod")
        return pod(machine, self.fleet) if machine else None

    def gpuTypes(self, info, input: dict | None = None) -> list[dict]:
        wanted = (input or {}).get("id")
        listed = {offer.accelerator: offer for offer in offers("runpod").values() if offer.count == 1}
        return [gpu(offer) for name, offer in listed.items() if wanted in (None, CARDS[name].id)]

    def updateUserSettings(self, info, input: dict) -> dict:
        with self.fleet.state.change() as memory:
            memory.public_key = input["pubKey"]
        return {"id": "user_emulated", "pubKey": input["pubKey"]}

    def podFindAndDeployOnDemand(self, info, input: dict) -> dict:
        name = next((card.name for card in CARDS.values() if card.id == input.get("gpuTypeId")), None)
        return self._deploy(f"{input.get('gpuCount', 1)}x_{name}_{input.get('cloudType', 'ALL')}", input)

    def podRentInterruptable(self, info, input: dict) -> dict:
        return self.podFindAndDeployOnDemand(info, {**input, "spot": True})

    def deployCpuPod(self, info, input: dict) -> dict:
        return self._deploy(input.get("instanceId", ""), input)

    def podTerminate(self, info, input: dict) -> None:
        machine = self.fleet.find(input["podId"], "runpod")
        if machine is None:
            raise GraphQLError("pod not found to terminate")
        self.fleet.end(machine)

    def saveRegistryAuth(self, info, input: dict) -> dict:
        id = "cra" + secrets.token_hex(6)
        with self.fleet.state.change() as memory:
            if input["name"] in memory.registry_auths.values():
                raise GraphQLError("Registry auth name must be unique.")
            memory.registry_auths[id] = input["name"]
        return {"id": id, "name": input["name"]}

    def deleteRegistryAuth(self, info, registryAuthId: str) -> None:
        with self.fleet.state.change() as memory:
            if memory.registry_auths.pop(registryAuthId, None) is None:
                raise GraphQLError("Registry auth not found.")

    def saveTemplate(self, info, input: dict) -> dict:
        template = {"id": secrets.token_hex(5), **input}
        with self.fleet.state.change() as memory:
            if input["name"] in (other["name"] for other in memory.templates.values()):
                raise GraphQLError("Template name must be unique.")
            memory.templates[template["id"]] = template
        return template

    def deleteTemplate(self, info, templateName: str) -> None:
        with self.fleet.state.change() as memory:
            ids = [id for id, template in memory.templates.items() if template["name"] == templateName]
            if not ids:
                raise GraphQLError("Template not found.")
            del memory.templates[ids[0]]

    def _deploy(self, type: str, input: dict) -> dict:
        offer, region = offers("runpod").get(type), input.get("countryCode") or "US"
        if offer is None or not self.faults.has(type, region):
            raise GraphQLError(SOLD_OUT)
        boot = self.fault.effect if self.fault and self.fault.effect in ("no ssh", "stuck") else "ok"
        machine = self.fleet.rent(offer, input["name"], region, boot, input)
        self.fleet.boot(machine, self._order(machine))
        return pod(machine, self.fleet)

    def _order(self, machine: Machine) -> Order:
        input = machine.extra
        environment = {e["key"]: e["value"] for e in input.get("env") or []}
        environment |= {"RUNPOD_POD_ID": machine.id, "RUNPOD_GPU_COUNT": str(input.get("gpuCount", 0))}
        if self.inner_url:
            environment["RUNPOD_API_BASE_URL"] = self.inner_url
        published = tuple(port for port, kind in ports(machine) if kind == "tcp")
        return Order(machine.id, input["imageName"], shlex.split(input.get("dockerArgs") or ""), environment, published)
