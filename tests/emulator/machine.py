"""The record of one rented machine."""

from dataclasses import dataclass, field


@dataclass
class Machine:
    """A pod or a VM, from its creation on; it stays in the books after its end.

    `began` and `ended` are seconds of the emulator's clock. `boot` is what its creation does: `ok`, `no ssh` (it runs,
    but nothing of its own starts in it) or `stuck` (it never runs; it is billed all the same). `extra` is what its
    provider's API remembers of the request.
    """

    id: str
    cloud: str
    name: str
    type: str
    region: str
    price: float
    began: float
    boot: str = "ok"
    address: str | None = None
    extra: dict = field(default_factory=dict)
    ended: float | None = None
    why: str | None = None
    problem: str | None = None

    @property
    def alive(self) -> bool:
        return self.ended is None
