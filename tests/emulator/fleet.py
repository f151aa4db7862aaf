"""The machines of both providers: rented, booted, returned, lost."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from tests.emulator.catalog import Offer
from tests.emulator.machine import Machine
from tests.emulator.pods import Look, Order, Pods
from tests.emulator.state import State

BOOT = 120.0
"""Seconds that a removal waits for a boot under way, which a slow engine may need."""


class Fleet:
    """Rents machines as a provider does: the record and the bill first, the container afterwards, behind the answer."""

    def __init__(self, state: State, pods: Pods, clock: Callable[[], float] = time.time) -> None:
        self.state, self.pods, self.clock = state, pods, clock
        self.boots: dict[str, threading.Thread] = {}

    def rent(self, offer: Offer, name: str, region: str, boot: str, extra: dict) -> Machine:
        """A new machine, which is billed from now on and does not run yet."""
        price = offer.price if not extra.get("spot") else offer.spot or offer.price
        id = ("pod" if offer.cloud == "runpod" else "") + secrets.token_hex(8)
        machine = Machine(id, offer.cloud, name, offer.type, region, price, self.clock(), boot, extra=extra)
        with self.state.change() as memory:
            memory.machines[id] = machine
        return machine

    def boot(self, machine: Machine, order: Order) -> None:
        """The machine's container is on its way. If it cannot start, the machine is billed without ever running, and
        `problem` says why."""
        if machine.boot == "stuck":
            return
        if machine.boot == "no ssh":
            order = replace(order, argv=["sleep", "infinity"])
        thread = threading.Thread(target=self._start, args=(machine, order), daemon=True)
        self.boots[machine.id] = thread
        thread.start()

    def look(self, machine: Machine) -> Look | None:
        """The machine's container if it runs."""
        return self.pods.look(machine.id) if machine.alive and not self.booting(machine) else None

    def booting(self, machine: Machine) -> bool:
        """Whether it is still on its way, perhaps for ever."""
        return machine.boot == "stuck" or (machine.id in self.boots and self.boots[machine.id].is_alive())

    def alive(self, cloud: str | None = None) -> list[Machine]:
        """The machines that are rented now."""
        return [m for m in self.state.machines() if m.alive and cloud in (None, m.cloud)]

    def find(self, id: str, cloud: str) -> Machine | None:
        """The rented machine with this id."""
        return next((machine for machine in self.alive(cloud) if machine.id == id), None)

    def end(self, machine: Machine, why: str = "terminated") -> None:
        """The machine is gone and costs nothing from now on."""
        with self.state.change():
            machine.ended, machine.why = self.clock(), why
        self._remove(machine)

    def crash(self, machine: Machine) -> None:
        """The machine's container is gone; the provider lists and bills it as before."""
        self._remove(machine)

    def _start(self, machine: Machine, order: Order) -> None:
        try:
            self.pods.start(order)
        except Exception as e:
            with self.state.change():
                machine.problem = str(e)

    def _remove(self, machine: Machine) -> None:
        if thread := self.boots.pop(machine.id, None):
            thread.join(BOOT)
        self.pods.remove(machine.id)
