"""An object store for tests: moto's server speaks S3 and checks signatures; the real rclone talks to it."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import boto3
import pytest

from launcher.runfolder.bucket_index import read_index
from launcher.runfolder.plan import Bucket
from tests.support.apt import install
from tests.support.patience import until
from tests.support.ports import HOST, free_port, reached

FREE = 8
"""Requests that moto answers before it checks who asks: those that make the user whose keys are checked then."""
PATIENCE = 60.0


class Gate:
    """A port before the server's, which can be shut: whoever calls then is refused, and calls that go on are cut."""

    def __init__(self, server: int):
        self.server, self.port, self.calls = server, 0, list[socket.socket]()
        self.open()

    def open(self) -> None:
        self.listener = socket.create_server((HOST, self.port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._answer, args=(self.listener,), daemon=True)
        self.thread.start()

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        self.listener.close()
        for call in self.calls:
            with contextlib.suppress(OSError):
                call.shutdown(socket.SHUT_RDWR)

    def _answer(self, listener: socket.socket) -> None:
        while True:
            try:
                call = listener.accept()[0]
            except OSError:
                return
            other = socket.create_connection((HOST, self.server))
            self.calls += [call, other]
            pumps = [threading.Thread(target=self._pump, args=pair) for pair in ((call, other), (other, call))]
            for pump in pumps:
                pump.daemon = True
                pump.start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.shut()
        for call in self.calls:
            call.close()


@dataclass
class Objects:
    """A server, the keys of its one user, and a bucket of a test's own."""

    port: int
    keys: dict[str, str]
    bucket: Bucket = field(default_factory=lambda: Bucket(""))

    def client(self):
        key, secret = self.keys.values()
        address = f"http://{HOST}:{self.port}"
        credentials = {"aws_access_key_id": key, "aws_secret_access_key": secret, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=address, verify=False, **credentials)

    def make(self, name: str, port: int) -> None:
        """A bucket that answers at `port`."""
        with contextlib.closing(self.client()) as client:
            client.create_bucket(Bucket=name)
        self.bucket = Bucket(f"s3://{name}/runs", f"http://{HOST}:{port}")

    def files(self, run: str) -> set[str]:
        """The names of all objects of a run."""
        prefix = f"runs/{run}/"
        with contextlib.closing(self.client()) as client:
            objects = client.list_objects_v2(Bucket=self.bucket.url.split("/")[2], Prefix=prefix).get("Contents", [])
        return {entry["Key"].removeprefix(prefix) for entry in objects}

    def index(self, run: str) -> list[str]:
        """What the run's index names."""
        return [entry.path for entry in read_index(self.bucket, run, self.keys)]


@pytest.fixture(scope="session")
def server() -> Iterator[Objects]:
    """A server that knows one user."""
    install("rclone")
    port = free_port()
    env = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(FREE)}
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or reached(port), "the start of moto's server", PATIENCE, 0.05)
        assert process.poll() is None, "moto's server does not start"
        yield Objects(port, _user(port))
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def gate(server: Objects) -> Iterator[Gate]:
    gate = Gate(server.port)
    yield gate
    gate.close()


@pytest.fixture
def objects(server: Objects, gate: Gate, request: pytest.FixtureRequest) -> Objects:
    """The server, with a new bucket behind the gate."""
    server.make(f"bucket-{abs(hash(request.node.nodeid))}", gate.port)
    return server


def _user(port: int) -> dict[str, str]:
    credentials = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
    allowed = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    with contextlib.closing(boto3.client("iam", endpoint_url=f"http://{HOST}:{port}", **credentials)) as client:
        client.create_user(UserName="user")
        client.put_user_policy(UserName="user", PolicyName="all", PolicyDocument=allowed)
        key = client.create_access_key(UserName="user")["AccessKey"]
        for _ in range(FREE - 3):
            client.get_user(UserName="user")
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
