import dataclasses

from launcher.preflight.access import image as check
from launcher.preflight.access import in_registry
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.runfolder.plan import Code, Image, Machine, Plan

IMAGE = Image("launcher-some:cpu-1", "cpu", "l" * 64, "c" * 64)
PLAN = Plan("run", "some-7b", (), "one", Code("0"), image=IMAGE)


def test_an_image_that_is_not_here_is_refused_with_the_command_that_makes_it():
    assert check(PLAN) == Finding(
        "image",
        REFUSED,
        "this machine has no image `launcher-some:cpu-1`, or no Docker engine answers",
        "`make image RECIPE=some-7b` builds it; `docker info` says whether an engine answers",
    )


def test_an_image_that_is_here_is_named_with_its_id():
    here = dataclasses.replace(PLAN, image=dataclasses.replace(IMAGE, digest=f"sha256:{'d' * 64}"))
    assert check(here) == Finding("image", OK, "launcher-some:cpu-1, dddddddddddd")


ON_CLUSTER = dataclasses.replace(PLAN, machine=Machine("slurm", software="pyxis"))


def test_a_cluster_fetches_images_from_a_registry_or_not_at_all():
    assert in_registry(ON_CLUSTER, None) == Finding(
        "image",
        REFUSED,
        "`slurm.software: pyxis` needs an image from a registry, but site.yaml names no registry",
        "`registry: ghcr.io/acme` in site.yaml, then `make image RECIPE=some-7b PUSH=ghcr.io/acme`",
    )
    named = dataclasses.replace(ON_CLUSTER, image=dataclasses.replace(IMAGE, name="ghcr.io/acme/launcher-some:cpu-1"))
    assert in_registry(named, "ghcr.io/acme") == Finding(
        "image",
        UNKNOWN,
        "not checked: whether the registry has `ghcr.io/acme/launcher-some:cpu-1`, for pyxis",
        "`docker manifest inspect ghcr.io/acme/launcher-some:cpu-1` checks it",
    )


def test_code_is_not_laid_over_an_image_on_a_cluster():
    laid = dataclasses.replace(ON_CLUSTER, image=dataclasses.replace(IMAGE, overlay=True))
    assert in_registry(laid, "ghcr.io/acme") == Finding(
        "image",
        REFUSED,
        "`slurm.software: pyxis`: on a cluster, code that is not committed cannot replace the code in an image",
        "commit and push the image again, or use `slurm.software: environment`",
    )
