"""An emulator whose pods exist only in memory and whose clock stands until it is moved."""

import http.client
import json
import ssl

import pytest

from tests.emulator.server import KEY, Emulator
from tests.emulator.stub import StubPods


class Clock:
    """Seconds, moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """A client of both APIs that trusts the emulator's authority and nothing else."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def graphql(self, query: str, key: str = KEY) -> dict:
        """RunPod's whole answer; a status other than 200 is an AssertionError."""
        body = json.dumps({"query": query})
        status, answer = self.plain("POST", "/graphql", body, key)
        assert status == 200, (status, answer)
        return json.loads(answer)

    def plain(self, method: str, path: str, body: str | None = None, key: str = KEY) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.emulator.url.removeprefix("http://"), timeout=10)
        return exchange(connection, method, path, body, key)

    def rest(self, method: str, path: str, body: object = None, key: str = KEY) -> tuple[int, dict]:
        """Lambda's status and answer, through CONNECT and TLS."""
        status, answer = self.tunnel("cloud.lambdalabs.com", method, f"/api/v1{path}", json.dumps(body), key)
        return status, json.loads(answer)

    def tunnel(self, host: str, method: str, path: str, body: str, key: str = KEY) -> tuple[int, bytes]:
        trust = ssl.create_default_context(cafile=self.emulator.authority.ca)
        address = self.emulator.url.removeprefix("http://")
        connection = http.client.HTTPSConnection(address, timeout=10, context=trust)
        connection.set_tunnel(host, 443)
        return exchange(connection, method, path, body, key)


def exchange(connection, method: str, path: str, body: str | None, key: str) -> tuple[int, bytes]:
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def emulator(tmp_path, clock):
    with Emulator(tmp_path / "emulator", StubPods(), "vm", clock=clock) as running:
        yield running


@pytest.fixture
def caller(emulator):
    return Caller(emulator)
