"""Where a request is recognised, checked, disturbed if a fault waits for it, and answered."""

import json
import time
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from tests.emulator import lambda_, runpod, vm
from tests.emulator.faults import Fault
from tests.emulator.journal import Call
from tests.emulator.machine import Machine
from tests.emulator.pods import Order
from tests.emulator.wire import Reply, Request

if TYPE_CHECKING:
    from tests.emulator.server import Emulator


def serve(emulator: "Emulator", request: Request) -> Reply | None:
    """The provider's answer, or what a fault makes of it; the journal has it afterwards."""
    operation = operation_of(request)
    call = emulator.journal.note(Call(emulator.clock(), operation, request.body.decode(), request.peer))
    fault = emulator.faults.take(operation)
    if fault:
        call.outcome = fault.effect
        time.sleep(fault.seconds)
        if fault.effect in ("drop", "hang"):
            return None
        if fault.effect == "garbage":
            return Reply(fault.status or 200, b"<html><body>502 Bad Gateway</body></html>", "text/html")
        if fault.effect == "refuse":
            return _refusal(operation, fault)
    if request.authorization != f"Bearer {emulator.key}":
        call.outcome = "unauthorized"
        body = lambda_.error("global/invalid-api-key", "API key was invalid, expired, or deleted.")
        return _reply(401, body)
    reply = _deed(emulator, request, operation, fault)
    if fault and fault.effect == "lose":
        return _refusal(operation, fault) if fault.status else None
    if reply.status != 200 or b'"errors"' in reply.body[:12]:
        call.outcome = "error"
    return reply


def operation_of(request: Request) -> str:
    """`runpod:podTerminate`, `lambda:GET /instances`, or `?:` and what was asked for."""
    if request.path == "/graphql" and request.method == "POST" and request.host in (None, "api.runpod.io"):
        return f"runpod:{runpod.operation(_query(request))}"
    if request.path.startswith(lambda_.PREFIX) and request.host in (None, "cloud.lambdalabs.com"):
        return f"lambda:{request.method} {request.path.removeprefix(lambda_.PREFIX)}"
    return f"?:{request.method} {request.host or ''}{request.path}"


def control(emulator: "Emulator", request: Request) -> Reply:
    """For tests in another process: GET state, GET calls, POST faults (a fault's fields), DELETE faults,
    POST soldout ({"type", "region"}), POST vanish or crash ({"id"})."""
    body = json.loads(request.body or b"{}")
    match request.method, request.path.removeprefix("/_emulator/"):
        case "GET", "state":
            return _reply(200, emulator.report())
        case "GET", "calls":
            return _reply(200, [asdict(call) for call in emulator.journal.calls])
        case "POST", "faults":
            if unknown := set(body) - {field.name for field in fields(Fault)}:
                return _reply(400, {"error": f"no field of a fault: {', '.join(sorted(unknown))}"})
            emulator.faults.add(Fault(**body))
        case "DELETE", "faults":
            emulator.faults.clear()
        case "POST", "soldout":
            emulator.faults.sell_out(body["type"], body.get("region"))
        case "POST", ("vanish" | "crash") as deed:
            for machine in [machine for machine in emulator.machines() if machine.id == body["id"]]:
                getattr(emulator, deed)(machine)
        case _:
            return _reply(404, {"error": f"{request.method} {request.path}"})
    return _reply(200, {})


def _deed(emulator: "Emulator", request: Request, operation: str, fault: Fault | None) -> Reply:
    if operation.startswith("runpod:"):
        root = runpod.Root(emulator.fleet, emulator.faults, emulator.inner_url, fault)
        return _reply(200, runpod.answer(_query(request), root))

    def order(machine: Machine, keys: list[str]) -> Order:
        ca = emulator.authority.ca.resolve()
        return vm.order(machine, emulator.vm_image, keys, emulator.pods.owner, emulator.inner_url, ca)

    if operation.startswith("lambda:"):
        account = lambda_.Account(emulator.fleet, emulator.faults, order, fault)
        path = request.path.removeprefix(lambda_.PREFIX)
        return _reply(*account.answer(request.method, path, json.loads(request.body or b"null")))
    return _reply(404, lambda_.error("global/not-found", f"{operation} is not emulated"))


def _query(request: Request) -> str:
    try:
        return str(json.loads(request.body)["query"])
    except (ValueError, KeyError, TypeError):
        return ""


def _refusal(operation: str, fault: Fault) -> Reply:
    if operation.startswith("runpod:"):
        return _reply(fault.status or 200, {"errors": [{"message": fault.message}], "data": None})
    return _reply(fault.status or 400, lambda_.error(fault.code, fault.message))


def _reply(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode())
