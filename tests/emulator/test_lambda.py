"""Lambda's API as SkyPilot uses it."""

import pytest

from tests.emulator.faults import Fault

KEY_NAME = {"name": "sky-key-1", "public_key": "ssh-rsa AAAA me"}
LAUNCH = {
    "region_name": "us-east-1",
    "instance_type_name": "gpu_8x_h100_sxm5",
    "ssh_key_names": ["sky-key-1"],
    "quantity": 1,
    "name": "a-head",
}


def launch(caller, **more):
    status, answer = caller.rest("POST", "/instance-operations/launch", {**LAUNCH, **more})
    assert status == 200, answer
    return answer["data"]["instance_ids"][0]


@pytest.fixture
def key(caller):
    assert caller.rest("POST", "/ssh-keys", KEY_NAME)[0] == 200


def instances(caller):
    return caller.rest("GET", "/instances")[1]["data"]


def test_an_instance_is_launched_listed_and_terminated(caller, emulator, key):
    id = launch(caller)
    emulator.fleet.boots[id].join()
    (instance,) = instances(caller)
    kept = ("id", "name", "ip", "private_ip", "status", "ssh_key_names")
    assert {name: instance[name] for name in kept} == {
        "id": id,
        "name": "a-head",
        "ip": "127.0.77.2",
        "private_ip": "172.17.0.9",
        "status": "active",
        "ssh_key_names": ["sky-key-1"],
    }
    order = emulator.pods.orders[id]
    assert (order.image, order.ports, order.own_address) == ("vm", (22,), True)
    assert "ssh-rsa AAAA me" in order.files["/etc/emulator/boot"]
    status, answer = caller.rest("POST", "/instance-operations/terminate", {"instance_ids": [id]})
    assert (status, answer["data"]["terminated_instances"][0]["status"]) == (200, "terminating")
    assert (instances(caller), emulator.pods.gone) == ([], [id])


def test_ssh_keys_and_firewall_rules_are_kept(caller, key):
    assert [held["name"] for held in caller.rest("GET", "/ssh-keys")[1]["data"]] == ["sky-key-1"]
    rules = [{"protocol": "tcp", "source_network": "0.0.0.0/0", "port_range": [8080, 8080], "description": ""}]
    assert caller.rest("PUT", "/firewall-rules", {"data": rules}) == (200, {"data": rules})
    assert caller.rest("GET", "/firewall-rules") == (200, {"data": rules})


def test_instance_types_say_their_price_and_where_they_are_to_be_had(caller, emulator):
    emulator.faults.sell_out("gpu_1x_a10", "us-east-1")
    offer = caller.rest("GET", "/instance-types")[1]["data"]["gpu_1x_a10"]
    assert offer["instance_type"]["price_cents_per_hour"] == 129
    assert [region["name"] for region in offer["regions_with_capacity_available"]] == ["us-west-1"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/instance-operations/launch", {}, 400, "global/invalid-parameters"),
        ("POST", "/instance-operations/launch", {**LAUNCH, "ssh_key_names": []}, 400, "global/invalid-parameters"),
        (
            "POST",
            "/instance-operations/launch",
            {**LAUNCH, "instance_type_name": "abacus"},
            404,
            "global/object-does-not-exist",
        ),
        (
            "POST",
            "/instance-operations/launch",
            {**LAUNCH, "region_name": "moon"},
            400,
            "instance-operations/launch/insufficient-capacity",
        ),
        ("POST", "/instance-operations/terminate", {"instance_ids": ["x"]}, 404, "global/object-does-not-exist"),
        ("POST", "/ssh-keys", KEY_NAME, 400, "global/duplicate"),
        ("POST", "/instance-operations/fly", {}, 404, "global/not-found"),
        ("GET", "/images", None, 404, "global/not-found"),
    ],
)
def test_what_lambda_refuses_is_an_error_with_a_code(caller, emulator, key, method, path, body, status, code):
    got, answer = caller.rest(method, path, body)
    assert (got, answer["error"]["code"]) == (status, code)
    assert emulator.history() == []


def test_a_wrong_key_is_401_and_does_nothing(caller, emulator):
    status, answer = caller.rest("GET", "/instances", key="wrong")
    assert (status, answer["error"]["code"]) == (401, "global/invalid-api-key")


def test_an_instance_that_is_stuck_boots_and_one_that_crashed_is_unhealthy(caller, emulator, key):
    emulator.faults.add(Fault("lambda:POST /instance-operations/launch", "stuck"))
    launch(caller)
    crashed = launch(caller)
    emulator.fleet.boots[crashed].join()
    emulator.crash(emulator.fleet.find(crashed, "lambda"))
    assert [instance["status"] for instance in instances(caller)] == ["booting", "unhealthy"]
    assert "ip" not in instances(caller)[0]
