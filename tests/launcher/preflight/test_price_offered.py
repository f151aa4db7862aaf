import pytest

from launcher.preflight.cost import experiment
from launcher.preflight.cost import features as check
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding

BUCKET = {"file_mounts": {"/data": {"source": "s3://acme/data"}}}


@pytest.mark.parametrize(
    ("document", "clouds"),
    [
        ({"resources": {"accelerators": "H100:8"}}, ["lambda", "runpod"]),
        ({"resources": {"use_spot": True}}, ["runpod"]),
        ({"file_mounts": {"/data": {"source": "s3://acme/data", "mode": "COPY"}, "/x": "./x"}}, ["runpod"]),
        (BUCKET, ["lambda"]),
    ],
)
def test_what_is_offered_is_fine(document, clouds):
    assert check(document, "a.yaml", clouds) == Finding("offers", OK, "the cloud supports everything in the job file")


@pytest.mark.parametrize("resources", [{"use_spot": True}, {"any_of": [{"accelerators": "H100:1", "use_spot": True}]}])
def test_no_spot_on_lambda(resources):
    assert check({"resources": resources}, "a.yaml", ["runpod", "lambda"]) == Finding(
        "offers", REFUSED, "Lambda has no spot machines, and jobs/a.yaml has `use_spot`", "take it out"
    )


def test_no_bucket_mount_on_runpod():
    assert check(BUCKET, "a.yaml", ["lambda", "runpod"]) == Finding(
        "offers",
        REFUSED,
        "SkyPilot mounts no bucket on RunPod: its pods have no /dev/fuse; jobs/a.yaml mounts `/data`",
        "`mode: COPY` copies it; `bucket:` in site.yaml keeps checkpoints without a mount",
    )


def test_nobody_looked_at_a_cloud_that_has_no_row():
    assert check({}, "a.yaml", ["runpod", "kubernetes"]) == Finding(
        "offers",
        UNKNOWN,
        "not checked: whether kubernetes supports everything in the job file",
        "SkyPilot says it at the launch, before a machine is rented",
    )


@pytest.fixture
def skypilot(monkeypatch):
    """What SkyPilot says: nothing against AWS, and that Vast joins no machines."""
    asked = []

    def obstacle(cloud, *needs):
        asked.append((cloud, *needs))
        return "Multi-node not supported yet" if cloud == "vast" else None

    monkeypatch.setattr("launcher.preflight.cost.obstacle", obstacle)
    return asked


def test_skypilot_says_what_an_experimental_cloud_cannot_do(skypilot):
    assert check({"num_nodes": 8}, "a.yaml", ["aws", "gcp"]) == Finding(
        "offers", OK, "SkyPilot can do on aws and gcp what the job file asks for"
    )
    assert check({**BUCKET, "resources": {"use_spot": True}}, "a.yaml", ["runpod", "vast"]).says.startswith(
        "SkyPilot m"
    )
    assert check({"resources": {"use_spot": True}}, "a.yaml", ["aws", "vast"]) == Finding(
        "offers", REFUSED, "SkyPilot cannot run this job on vast: Multi-node not supported yet", "take another cloud"
    )
    assert skypilot == [
        ("aws", 8, False, False),
        ("gcp", 8, False, False),
        ("aws", 1, True, False),
        ("vast", 1, True, False),
    ]


def test_a_cloud_that_nobody_tried_is_called_experimental():
    hint = "begin with a small run: `launcher launch gad-tiny --cloud aws --max-hours 1`"
    says = "experimental: no run of this launcher was ever made there"
    assert experiment(["aws"]) == Finding("cloud", UNKNOWN, f"`aws` is {says}", hint)
    assert experiment(["aws", "gcp"]) == Finding("cloud", UNKNOWN, f"`aws` and `gcp` are {says}", hint)
    assert experiment([]) is None
