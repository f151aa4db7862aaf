"""Both providers, behind one port on this machine and one that their pods can reach."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.emulator import desk, money
from tests.emulator.authority import Authority
from tests.emulator.faults import Faults
from tests.emulator.fleet import Fleet
from tests.emulator.journal import Call, Journal
from tests.emulator.machine import Machine
from tests.emulator.pods import Pods
from tests.emulator.state import State
from tests.emulator.wire import Listener, Reply, Request

KEY = "test-key"
"""The API key that both providers accept."""
HOSTS = ("api.runpod.io", "cloud.lambdalabs.com")


class Emulator:
    """As a context manager it serves until the end of the block, and then no machine is left. `start` and `stop`
    alone leave the machines as they are: a second emulator on the same folder finds them, and has the same ports.

    `vm_image` is what a Lambda VM runs: a Debian with openssh-server, rsync, curl, sudo and a user `ubuntu`.
    """

    def __init__(
        self, folder: Path, pods: Pods, vm_image: str = "", key: str = KEY, clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.pods, self.vm_image, self.key, self.clock = folder, pods, vm_image, key, clock
        self.state = State(folder / "state.json")
        self.authority = Authority(folder)
        self.fleet = Fleet(self.state, pods, clock)
        self.faults = Faults(clock)
        self.journal = Journal()
        self.listeners: list[Listener] = []
        self.url = ""
        self.inner_url: str | None = None

    def __enter__(self) -> "Emulator":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.fleet.alive():
            self.fleet.end(machine, "the emulator ended")
        self.stop()
        self.pods.remove_all()

    def start(self) -> None:
        """It answers at `url`, and at `inner_url` for pods."""
        self.url = self._listen("127.0.0.1")
        self.inner_url = self._listen(self.pods.gateway) if self.pods.gateway else None

    def stop(self) -> None:
        """Nobody answers any more."""
        for listener in self.listeners:
            listener.shutdown()
            listener.server_close()
        self.listeners.clear()

    def machines(self, cloud: str | None = None) -> list[Machine]:
        """The machines that are alive and cost money."""
        return self.fleet.alive(cloud)

    def history(self) -> list[Machine]:
        """All machines ever rented."""
        return self.state.machines()

    def dollars(self) -> float:
        """The bill until now."""
        return money.billed(self.state.machines(), self.clock())

    def vanish(self, machine: Machine) -> None:
        """The provider lost the machine: it is no longer listed, runs no more, and costs nothing from now on."""
        self.fleet.end(machine, "vanished")

    def crash(self, machine: Machine) -> None:
        """The machine's insides are gone, but the provider lists and bills it."""
        self.fleet.crash(machine)

    def answer(self, request: Request) -> Reply | None:
        """The reply to one request of a client."""
        if request.path.startswith("/_emulator/") and request.host is None:
            return desk.control(self, request)
        if request.host is not None and not self.knows(request.host, request.peer):
            return Reply(403, b"not emulated", "text/plain")
        return desk.serve(self, request)

    def knows(self, host: str, peer: str) -> bool:
        """Whether a host is emulated. If not, that is noted."""
        if host in HOSTS:
            return True
        self.journal.note(Call(self.clock(), f"refused:{host}", "", peer, "refused"))
        return False

    def report(self) -> dict:
        """All there is to know, as one JSON object."""
        now = self.clock()
        return {
            "machines": [{**vars(machine), "cost": money.cost(machine, now)} for machine in self.history()],
            "dollars": money.billed(self.history(), now),
            "dollars_per_hour": money.rate(self.history()),
            "refused": self.journal.refused,
            "refused_inside": self.journal.refused_inside,
        }

    def _listen(self, address: str) -> str:
        port = self.state.memory.ports.get(address, 0)
        listener = Listener((address, port), self.answer, self.knows, self.authority)
        with self.state.change() as memory:
            memory.ports[address] = listener.server_port
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        self.listeners.append(listener)
        return f"http://{address}:{listener.server_port}"
