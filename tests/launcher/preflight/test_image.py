import dataclasses

from launcher.node.records import Code, Image, Plan
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.image import check

IMAGE = Image("launcher-some:cpu-1", "cpu", "l" * 64, "c" * 64)
PLAN = Plan("run", "some-7b", (), "one", Code("0"), image=IMAGE)


def test_an_image_that_is_not_here_is_refused_with_the_command_that_makes_it():
    assert check(PLAN) == Finding(
        "image",
        REFUSED,
        "the Docker engine here has no `launcher-some:cpu-1`, or none answers",
        "`make image RECIPE=some-7b` builds it; `docker info` says whether an engine answers",
    )


def test_an_image_that_is_here_is_named_with_its_id():
    here = dataclasses.replace(PLAN, image=dataclasses.replace(IMAGE, digest=f"sha256:{'d' * 64}"))
    assert check(here) == Finding("image", OK, "launcher-some:cpu-1, dddddddddddd")
