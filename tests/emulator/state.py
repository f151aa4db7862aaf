"""Everything the two providers remember, in one file, so that a restarted emulator goes on where it was."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.emulator.machine import Machine


@dataclass
class Memory:
    """Machines by id, the ones that ended included; what each account holds; the ports listened on."""

    machines: dict[str, Machine] = field(default_factory=dict)
    public_key: str | None = None
    registry_auths: dict[str, str] = field(default_factory=dict)
    templates: dict[str, dict] = field(default_factory=dict)
    ssh_keys: list[dict] = field(default_factory=list)
    firewall_rules: list[dict] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)


class State:
    """A memory that is read by attribute and changed only inside `change`, which writes it down."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.memory = _read(path) if path.exists() else Memory()

    @contextmanager
    def change(self) -> Iterator[Memory]:
        """One change at a time; it is on disk afterwards."""
        with self.lock:
            yield self.memory
            partial = self.path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(self.memory), indent=1))
            os.replace(partial, self.path)

    def machines(self) -> list[Machine]:
        """All machines ever rented, in order of their creation."""
        with self.lock:
            return list(self.memory.machines.values())


def _read(path: Path) -> Memory:
    data = json.loads(path.read_text())
    return Memory(**{**data, "machines": {id: Machine(**machine) for id, machine in data["machines"].items()}})
