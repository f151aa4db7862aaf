"""What both providers share: faults, bills, hosts, the memory, the control path, the catalogs, the client."""

import csv
import http.client
import json
import os
import time
from pathlib import Path

import pytest
import yaml

from tests.emulator.catalog import CARDS, OFFERS, write
from tests.emulator.client import client
from tests.emulator.faults import Fault
from tests.emulator.server import Emulator
from tests.emulator.stub import StubPods
from tests.emulator.test_lambda import LAUNCH
from tests.emulator.test_runpod import DEPLOY, PODS, deploy, pods, terminate

ROOT = Path(__file__).parent.parent.parent
LAUNCHES = "lambda:POST /instance-operations/launch"


def test_a_refused_operation_does_nothing_as_often_as_was_said(caller, emulator):
    id = deploy(caller)
    emulator.faults.add(Fault("runpod:podTerminate", "refuse", "Try later.", times=2))
    answers = [caller.graphql(terminate(id)).get("errors") for _ in range(3)]
    assert answers == [[{"message": "Try later."}], [{"message": "Try later."}], None]
    assert emulator.machines() == []


def test_lambda_refuses_with_status_and_code(caller, emulator):
    emulator.faults.add(Fault("lambda:GET /instances", "refuse", "No.", status=503, code="global/unavailable"))
    status, answer = caller.rest("GET", "/instances")
    assert (status, answer["error"]) == (503, {"code": "global/unavailable", "message": "No.", "suggestion": ""})


@pytest.mark.parametrize("status", [None, 500])
def test_a_lost_answer_leaves_a_machine_that_bills(caller, emulator, status):
    emulator.faults.add(Fault("runpod:podFindAndDeployOnDemand", "lose", status=status))
    if status:
        got, _ = caller.plain("POST", "/graphql", json.dumps({"query": DEPLOY}))
        assert got == 500
    else:
        with pytest.raises(http.client.RemoteDisconnected):
            caller.graphql(DEPLOY)
    assert [machine.name for machine in emulator.machines()] == ["a-head"]


def test_a_dropped_connection_does_nothing(caller, emulator):
    emulator.faults.add(Fault("lambda:*", "drop"))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, OSError)):
        caller.rest("POST", "/instance-operations/launch", LAUNCH)
    assert emulator.history() == []


def test_an_outage_lasts_as_long_as_was_said(caller, emulator, clock):
    emulator.faults.add(Fault("runpod:*", "drop", times=None, lasting=60))
    for _ in range(2):
        with pytest.raises(http.client.RemoteDisconnected):
            caller.graphql(PODS)
    clock.now += 61
    assert pods(caller) == []


def test_garbage_is_not_json(caller, emulator):
    emulator.faults.add(Fault("runpod:myself.pods", "garbage"))
    with pytest.raises(json.JSONDecodeError):
        caller.graphql(PODS)
    assert caller.graphql("{ myself { id } }")["data"]


def test_a_delay_answers_later_and_a_hang_not_at_all(caller, emulator):
    emulator.faults.add(Fault("runpod:*", "delay", seconds=0.1), Fault("runpod:*", "hang", seconds=0.1))
    began = time.monotonic()
    assert pods(caller) == []
    with pytest.raises(http.client.RemoteDisconnected):
        caller.graphql(PODS)
    assert time.monotonic() - began >= 0.2


def test_an_effect_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="`explode` is no effect of a fault: refuse, lose"):
        Fault("runpod:*", "explode")


def test_machines_are_billed_from_creation_to_end(caller, emulator, clock):
    id = deploy(caller)
    clock.now += 1800
    assert emulator.dollars() == pytest.approx(23.92 / 2)
    assert emulator.report()["dollars_per_hour"] == 23.92
    caller.graphql(terminate(id))
    clock.now += 3600
    assert emulator.dollars() == pytest.approx(23.92 / 2)
    (machine,) = emulator.history()
    assert (machine.began, machine.ended, machine.why) == (1000, 2800, "terminated")


def test_a_machine_that_vanishes_is_no_longer_billed_and_one_that_crashes_is(caller, emulator):
    deploy(caller), deploy(caller)
    vanished, crashed = emulator.machines()
    for machine in (vanished, crashed):
        emulator.fleet.boots[machine.id].join()
    emulator.vanish(vanished)
    emulator.crash(crashed)
    assert [(pod["id"], pod["runtime"]) for pod in pods(caller)] == [(crashed.id, None)]
    assert (vanished.why, [machine.id for machine in emulator.machines()]) == ("vanished", [crashed.id])


def test_every_other_host_is_refused_and_noted(caller, emulator):
    for host in ("pypi.org", "raw.githubusercontent.com"):
        with pytest.raises(OSError, match="403"):
            caller.tunnel(host, "GET", "/", "")
    assert caller.plain("GET", "http://example.com/x")[0] == 403
    assert emulator.journal.refused == ["pypi.org", "raw.githubusercontent.com", "example.com"]


def test_a_path_that_no_provider_has_is_404(caller, emulator):
    assert caller.tunnel("api.runpod.io", "GET", "/v2/pods", "")[0] == 404
    assert caller.plain("GET", "/")[0] == 404


def test_runpod_is_also_reached_through_the_proxy(caller):
    status, answer = caller.tunnel("api.runpod.io", "POST", "/graphql", json.dumps({"query": PODS}))
    assert (status, json.loads(answer)) == (200, {"data": {"myself": {"pods": []}}})


def test_calls_are_kept_without_their_key_and_can_be_awaited(caller, emulator):
    caller.rest("GET", "/instances")
    call = emulator.journal.wait("lambda:GET /instances", patience=1)
    assert (call.peer, call.outcome, "test-key" in repr(call)) == ("127.0.0.1", "answered", False)
    with pytest.raises(AssertionError, match="runpod:podTerminate was asked 0 times in 0 s, not 1"):
        emulator.journal.wait("runpod:podTerminate", patience=0)


def test_a_restarted_emulator_goes_on_where_it_was(tmp_path, caller, emulator, clock):
    id = deploy(caller)
    emulator.fleet.boots[id].join()
    emulator.stop()
    with pytest.raises(ConnectionRefusedError):
        pods(caller)
    again = Emulator(emulator.folder, emulator.pods, "vm", clock=clock)
    again.start()
    assert (again.url, again.authority.issuer.cert_pem.bytes()) == (emulator.url, emulator.authority.ca.read_bytes())
    assert [pod["id"] for pod in pods(caller)] == [id]
    assert caller.graphql(terminate(id)) == {"data": {"podTerminate": None}}
    again.stop()


def test_no_machine_is_left_at_the_end(tmp_path):
    with Emulator(tmp_path, StubPods(), "vm") as emulator:
        emulator.fleet.rent(OFFERS[0], "a", "US", "ok", {})
    assert (emulator.machines(), emulator.history()[0].why) == ([], "the emulator ended")


def test_another_process_controls_it_over_http(caller, emulator):
    def ask(method, path, body=None):
        status, answer = caller.plain(method, f"/_emulator/{path}", json.dumps(body))
        return status, json.loads(answer)

    assert ask("POST", "faults", {"operation": "runpod:*", "effect": "refuse", "message": "No."}) == (200, {})
    assert caller.graphql(PODS)["errors"] == [{"message": "No."}]
    assert ask("POST", "faults", {"operation": "x", "afect": "refuse"})[0] == 400
    assert ask("POST", "soldout", {"type": "8x_H100-SXM_SECURE"}) == (200, {})
    assert "errors" in caller.graphql(DEPLOY)
    assert ask("DELETE", "faults") == (200, {})
    id = deploy(caller)
    assert [machine["id"] for machine in ask("GET", "state")[1]["machines"]] == [id]
    assert ask("POST", "vanish", {"id": id}) == (200, {})
    assert emulator.machines() == []
    assert [call["operation"] for call in ask("GET", "calls")[1]][:1] == ["runpod:myself.pods"]
    assert ask("GET", "nothing")[0] == 404


def read(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_catalogs_hold_every_offer_where_it_is_to_be_had(tmp_path):
    write(tmp_path)
    folder = tmp_path / ".sky" / "catalogs" / "v8"
    rows = {cloud: read(folder / cloud / "vms.csv") for cloud in ("runpod", "lambda")}
    assert {row["InstanceType"] for cloud in rows for row in rows[cloud]} == {offer.type for offer in OFFERS}
    assert {(row["Region"], row["AvailabilityZone"]) for row in rows["runpod"]} >= {
        ("US", "US-CA-2"),
        ("RO", "EU-RO-1"),
    }
    names = {row["AcceleratorName"]: row["Clouds"] for row in read(folder / "common" / "accelerators.csv")}
    assert (names["H100"], names["A10"]) == ("['Lambda', 'RunPod']", "['Lambda']")
    assert list(tmp_path.rglob("*.md5")) == []


ELSEWHERE = {"T4", "L4", "L40S", "RTX3090"}
"""Cards of small machines: people's own, and clouds' that are not emulated."""


def test_catalogs_hold_an_offer_for_each_of_our_jobs():
    offered = {(offer.accelerator, offer.count) for offer in OFFERS}
    for path in (ROOT / "jobs").glob("*.yaml"):
        accelerators = yaml.safe_load(path.read_text()).get("resources", {}).get("accelerators", {})
        rented = {(name, count) for name, count in accelerators.items() if name not in ELSEWHERE}
        assert {name for name, _ in rented} <= set(CARDS), path.name
        assert rented & offered or not accelerators, path.name


def test_a_client_knows_nothing_but_the_emulator(tmp_path, emulator, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "canary")
    environment = client(tmp_path / "client", emulator)
    home = Path(environment["HOME"])
    assert "canary" not in repr(environment)
    assert (home / ".runpod" / "config.toml").read_text() == '[default]\napi_key = "test-key"\n'
    assert (home / ".lambda_cloud" / "lambda_keys").read_text() == "api_key = test-key\n"
    assert os.stat(home / ".runpod" / "config.toml").st_mode & 0o077 == 0
    assert environment["RUNPOD_API_BASE_URL"] == environment["HTTPS_PROXY"] == emulator.url
