"""RunPod's API as SkyPilot uses it."""

import json

import pytest

from tests.emulator.faults import Fault

DEPLOY = """mutation { podFindAndDeployOnDemand(input: {
  name: "a-head", imageName: "IMAGE", cloudType: SECURE, startSsh: true, gpuTypeId: "NVIDIA H100 80GB HBM3",
  supportPublicIp: true, gpuCount: 8, volumeInGb: 0, minVcpuCount: 32, minMemoryInGb: 640,
  dataCenterId: "US-CA-2,US-KS-2", dockerArgs: "bash -c 'sleep 1'", countryCode: "US", containerDiskInGb: 256,
  ports: "22/tcp,8266/http", volumeMountPath: "/runpod-volume" }) {
  id imageName env machineId machine { podHostId } } }"""
PODS = """query myPods { myself { pods { id name desiredStatus costPerHr vcpuCount env
  runtime { ports { ip isIpPublic privatePort publicPort type } } machine { gpuDisplayName } } } }"""


def terminate(id):
    return f'mutation {{ podTerminate(input: {{ podId: "{id}" }}) }}'


def deploy(caller, text=DEPLOY):
    return caller.graphql(text)["data"]["podFindAndDeployOnDemand"]["id"]


def pods(caller):
    return caller.graphql(PODS)["data"]["myself"]["pods"]


def test_a_pod_is_deployed_listed_and_terminated(caller, emulator):
    id = deploy(caller)
    emulator.fleet.boots[id].join()
    assert pods(caller) == [
        {
            "id": id,
            "name": "a-head",
            "desiredStatus": "RUNNING",
            "costPerHr": 23.92,
            "vcpuCount": pytest.approx(2, abs=2),
            "env": [],
            "runtime": {
                "ports": [
                    {"ip": "127.0.0.1", "isIpPublic": True, "privatePort": 22, "publicPort": 30022, "type": "tcp"},
                    {"ip": "172.17.0.9", "isIpPublic": False, "privatePort": 8266, "publicPort": 8266, "type": "http"},
                ]
            },
            "machine": {"gpuDisplayName": "H100 SXM"},
        }
    ]
    order = emulator.pods.orders[id]
    assert (order.image, order.argv, order.ports) == ("IMAGE", ["bash", "-c", "sleep 1"], (22,))
    assert caller.graphql(terminate(id)) == {"data": {"podTerminate": None}}
    assert (pods(caller), emulator.pods.gone) == ([], [id])
    assert caller.graphql(terminate(id))["errors"] == [{"message": "pod not found to terminate"}]


def test_a_spot_pod_costs_the_spot_price(caller, emulator):
    text = DEPLOY.replace("podFindAndDeployOnDemand(input: {", "podRentInterruptable(input: { bidPerGpu: 2.0,")
    assert caller.graphql(text)["data"]["podRentInterruptable"]["id"]
    assert [machine.price for machine in emulator.machines()] == [14.0]


def test_a_cpu_pod_is_deployed_by_its_instance_id(caller, emulator):
    caller.graphql(
        'mutation { deployCpuPod(input: { name: "c-head", imageName: "i", cloudType: SECURE, startSsh: true,'
        ' instanceId: "cpu3c-2-4", dataCenterId: null, templateId: "runpod-ubuntu", ports: "22/tcp" }) { id } }'
    )
    assert [(machine.type, machine.price) for machine in emulator.machines()] == [("cpu3c-2-4", 0.06)]


def test_a_type_that_is_sold_out_in_one_region_is_had_in_another(caller, emulator):
    emulator.faults.sell_out("8x_H100-SXM_SECURE", "US")
    message = caller.graphql(DEPLOY)["errors"][0]["message"]
    assert message.startswith("There are no longer any instances available with the requested specifications.")
    deploy(caller, DEPLOY.replace('"US"', '"RO"'))
    assert [machine.region for machine in emulator.machines()] == ["RO"]


def test_gpu_types_are_found_by_their_id(caller):
    answer = caller.graphql(
        'query GpuTypes { gpuTypes(input: {id: "NVIDIA B200"}) { id memoryInGb securePrice communityPrice'
        " lowestPrice(input: {gpuCount: 1}) { uninterruptablePrice } } }"
    )
    assert answer["data"]["gpuTypes"] == [
        {
            "id": "NVIDIA B200",
            "memoryInGb": 180,
            "securePrice": 6.79,
            "communityPrice": None,
            "lowestPrice": {"uninterruptablePrice": 6.79},
        }
    ]
    assert caller.graphql('{ gpuTypes(input: {id: "Abacus"}) { id } }') == {"data": {"gpuTypes": []}}


def test_the_public_key_is_kept(caller):
    caller.graphql(r'mutation { updateUserSettings(input: { pubKey: "a\n\nb" }) { id pubKey } }')
    answer = caller.graphql("query myself { myself { id pubKey networkVolumes { id name size dataCenterId } } }")
    assert answer["data"]["myself"] == {"id": "user_emulated", "pubKey": "a\n\nb", "networkVolumes": []}


def test_a_registry_login_is_saved_used_in_a_template_and_deleted(caller, emulator):
    saved = caller.graphql(
        'mutation { saveRegistryAuth(input: {name: "n", username: "u", password: "pass-canary"}) { id name } }'
    )
    id = saved["data"]["saveRegistryAuth"]["id"]
    caller.graphql(
        f'mutation {{ saveTemplate(input: {{ name: "t", imageName: "i", dockerArgs: "", containerDiskInGb: 10,'
        f' volumeInGb: 0, ports: "", env: [], containerRegistryAuthId: "{id}" }}) {{ id name }} }}'
    )
    listed = "query { myself { podTemplates { name containerRegistryAuthId } } }"
    assert caller.graphql(listed)["data"]["myself"]["podTemplates"] == [{"name": "t", "containerRegistryAuthId": id}]
    assert caller.graphql('mutation {deleteTemplate(templateName: "t")}') == {"data": {"deleteTemplate": None}}
    gone = caller.graphql(f'mutation {{ deleteRegistryAuth(registryAuthId: "{id}") }}')
    assert gone == {"data": {"deleteRegistryAuth": None}}
    assert caller.graphql(listed)["data"]["myself"]["podTemplates"] == []
    assert "pass-canary" not in (emulator.folder / "state.json").read_text()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("mutation { podFly }", "Cannot query field 'podFly' on type 'Mutation'."),
        ("{ myself { money } }", "Cannot query field 'money' on type 'User'."),
        ("{ myself {", "Syntax Error: Expected Name, found <EOF>."),
        (DEPLOY.replace("gpuCount: 8", 'gpuCount: "8"'), "Int cannot represent non-integer value: \"8\""),
    ],
)  # fmt: skip
def test_what_runpod_does_not_know_is_an_error(caller, emulator, query, message):
    assert caller.graphql(query)["errors"][0]["message"].startswith(message)
    assert emulator.history() == []


def test_a_wrong_key_is_401_and_does_nothing(caller, emulator):
    assert caller.plain("POST", "/graphql", json.dumps({"query": DEPLOY}), key="wrong")[0] == 401
    assert emulator.history() == []
    assert [call.outcome for call in emulator.journal.calls] == ["unauthorized"]


def test_a_pod_whose_image_is_missing_is_billed_and_never_runs(caller, emulator):
    id = deploy(caller, DEPLOY.replace("IMAGE", "missing"))
    emulator.fleet.boots[id].join()
    assert pods(caller)[0]["runtime"] is None
    assert [machine.problem for machine in emulator.machines()] == ["No such image: missing"]


def test_a_pod_may_be_stuck_or_without_ssh(caller, emulator):
    emulator.faults.add(Fault("runpod:podFind*", "stuck"), Fault("runpod:podFind*", "no ssh"))
    stuck, dark = deploy(caller), deploy(caller)
    emulator.fleet.boots[dark].join()
    assert [bool(pod["runtime"]) for pod in pods(caller)] == [False, True]
    assert list(emulator.pods.orders) == [dark] != [stuck]
    assert emulator.pods.orders[dark].argv == ["sleep", "infinity"]
