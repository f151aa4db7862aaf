import pytest

from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.preflight.price import offered as check

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
