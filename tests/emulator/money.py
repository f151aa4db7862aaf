"""What rented machines have cost, by the emulator's own clock."""

from collections.abc import Iterable

from tests.emulator.machine import Machine


def cost(machine: Machine, now: float) -> float:
    """Dollars for this machine until its end, or until now while it is alive."""
    return machine.price * ((now if machine.ended is None else machine.ended) - machine.began) / 3600


def billed(machines: Iterable[Machine], now: float) -> float:
    """Dollars for all of them."""
    return sum(cost(machine, now) for machine in machines)


def rate(machines: Iterable[Machine]) -> float:
    """Dollars per hour that those of them cost which are alive."""
    return sum(machine.price for machine in machines if machine.alive)
