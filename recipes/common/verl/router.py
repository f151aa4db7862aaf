"""Which rollout server answers a request; without verl's imports, which its own balancer's process pays for.

verl starts it as a Ray actor for `rollout.router_config_path` (router.yaml).
"""

from collections import Counter
from typing import Any


class LeastBusy:
    """The server with the fewest requests under way, the first of equals."""

    def __init__(self, servers: dict[str, Any], config: dict[str, Any]):
        self.servers = dict(servers)
        self.busy = Counter(dict.fromkeys(servers, 0))

    def acquire_server(self, request_id: str) -> tuple[str, Any]:
        """The server's name and handle; it counts as busier until it is released."""
        name = min(self.busy, key=self.busy.__getitem__)
        self.busy[name] += 1
        return name, self.servers[name]

    def release_server(self, server_id: str) -> None:
        """One request of this server is answered."""
        self.busy[server_id] -= 1

    def require_acquire_fields(self) -> list[str]:
        """A request needs no field but its id."""
        return []

    def require_release_fields(self) -> list[str]:
        """An answer needs no field but the server's name."""
        return []
