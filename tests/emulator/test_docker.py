"""Pods and VMs as real containers, of an image made here from this machine's own `sh` and `sleep`."""

import io
import shutil
import subprocess
import tarfile

import pytest

from launcher.errors import LaunchError
from launcher.images.docker_engine import connect
from tests.emulator.conftest import Caller
from tests.emulator.faults import Fault
from tests.emulator.pods import DockerPods, Order
from tests.emulator.server import Emulator
from tests.emulator.test_lambda import KEY_NAME, instances, launch
from tests.emulator.test_runpod import DEPLOY, deploy, pods, terminate
from tests.support.patience import until

IMAGE = "launcher-emulator-shell:test"


@pytest.fixture(scope="module")
def engine():
    try:
        client = connect()
    except LaunchError as problem:
        pytest.skip(str(problem))
    client.api.import_image_from_data(shell(), *IMAGE.split(":"))
    yield client
    client.images.remove(IMAGE, force=True)
    client.close()


def shell():
    """A root file system that holds sh, sleep and the libraries they need."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", dereference=True) as tar:
        for name in ("sh", "sleep"):
            program = shutil.which(name)
            tar.add(program, f"bin/{name}")
            for path in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split():
                if path.startswith("/") and path.lstrip("/") not in tar.getnames():
                    tar.add(path, path.lstrip("/"))
    return buffer.getvalue()


@pytest.fixture
def real(engine, tmp_path):
    """An emulator whose pods are containers; none of them is left afterwards."""
    source = DockerPods(f"test-{tmp_path.name}")
    with Emulator(tmp_path / "emulator", source, IMAGE) as emulator:
        yield emulator
    assert engine.containers.list(all=True, filters={"label": f"launcher.emulator={source.owner}"}) == []
    source.close()


def test_a_pod_is_a_container_that_knows_the_emulator(engine, real):
    caller = Caller(real)
    id = deploy(caller, DEPLOY.replace("IMAGE", IMAGE).replace("bash -c 'sleep 1'", "sh -c 'sleep 1000'"))
    runtime = until(lambda: pods(caller)[0]["runtime"])
    container = engine.containers.get(f"emulated-{id}")
    environment = container.attrs["Config"]["Env"]
    assert {f"RUNPOD_API_BASE_URL={real.inner_url}", f"RUNPOD_POD_ID={id}"} <= set(environment)
    assert container.attrs["HostConfig"]["ShmSize"] == 1 << 30
    ssh, ray = runtime["ports"]
    assert (ssh["ip"], ssh["isIpPublic"], ssh["privatePort"]) == ("127.0.0.1", True, 22)
    assert (ray["isIpPublic"], ray["privatePort"], ray["ip"] != "127.0.0.1") == (False, 8266, True)
    assert caller.graphql(terminate(id)) == {"data": {"podTerminate": None}}
    assert engine.containers.list(all=True, filters={"name": f"emulated-{id}"}) == []


def test_each_vm_has_port_22_of_an_address_of_its_own(real):
    caller = Caller(real)
    caller.rest("POST", "/ssh-keys", KEY_NAME)
    real.faults.add(Fault("lambda:POST /instance-operations/launch", "no ssh", times=2))
    launch(caller), launch(caller)
    vms = until(lambda: all(vm["status"] == "active" for vm in instances(caller)) and instances(caller))
    assert all(vm["ip"].startswith("127.0.77.") for vm in vms)
    assert len({vm["ip"] for vm in vms}) == 2
    assert len({vm["private_ip"] for vm in vms}) == 2


def test_a_pod_whose_image_nobody_has_never_runs(real):
    caller = Caller(real)
    id = deploy(caller, DEPLOY.replace("IMAGE", "launcher-no-such-image:test"))
    real.fleet.boots[id].join()
    assert pods(caller)[0]["runtime"] is None
    assert "No such image" in real.machines()[0].problem


def test_a_container_removed_by_somebody_else_is_a_pod_without_runtime(engine, real):
    caller = Caller(real)
    id = deploy(caller, DEPLOY.replace("IMAGE", IMAGE).replace("bash -c 'sleep 1'", "sleep 1000"))
    until(lambda: pods(caller)[0]["runtime"])
    engine.containers.get(f"emulated-{id}").remove(force=True)
    assert pods(caller)[0]["runtime"] is None
    assert [machine.id for machine in real.machines()] == [id]


def test_a_container_that_cannot_start_is_an_error_with_its_reason(engine, real):
    real.pods.start(Order("first", IMAGE, ["sleep", "1000"], ports=(22,)))
    with pytest.raises(RuntimeError, match="already in use by container"):
        real.pods.start(Order("first", IMAGE, ["sleep", "1000"], ports=(22,)))
