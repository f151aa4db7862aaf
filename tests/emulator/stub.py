"""Pods that exist only in memory: for tests of the emulator itself, and of anything that needs no machine inside."""

from tests.emulator.pods import Look, Order


class StubPods:
    """Each is there at once, reachable at addresses where nothing listens."""

    owner = "stub"
    gateway: str | None = None

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.gone: list[str] = []

    def start(self, order: Order) -> None:
        if order.image == "missing":
            raise RuntimeError("No such image: missing")
        self.orders[order.id] = order

    def look(self, id: str) -> Look | None:
        order = self.orders.get(id)
        if order is None:
            return None
        if order.own_address:
            address = f"127.0.77.{2 + list(self.orders).index(id)}"
            return Look("172.17.0.9", {port: (address, port) for port in order.ports})
        return Look("172.17.0.9", {port: ("127.0.0.1", 30000 + port) for port in order.ports})

    def remove(self, id: str) -> None:
        if self.orders.pop(id, None):
            self.gone.append(id)

    def remove_all(self) -> None:
        for id in list(self.orders):
            self.remove(id)
