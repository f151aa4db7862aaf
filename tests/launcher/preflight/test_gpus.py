from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, Finding
from launcher.preflight.machine import gpus as check
from launcher.runfolder.plan import Code, Machine, Plan

H200 = Card("NVIDIA H200", 141_000_000_000)


def plan(accelerators=("H100-SXM:8", "B200:8")):
    return Plan("run", "some-7b", (), "one", Code("0"), Machine("docker", accelerators))


def test_a_recipe_without_gpus_fits_everywhere():
    assert check(plan(()), []) == Finding("gpus", OK, "the recipe needs none")


def test_no_gpu_is_a_plain_sentence():
    assert check(plan(), []) == Finding(
        "gpus",
        REFUSED,
        "no NVIDIA GPU found on this machine; `some-7b` needs H100-SXM:8 or B200:8",
        "`launcher rehearse some-7b --docker` runs it whole on this CPU",
    )


def test_cards_are_counted_and_the_smallest_is_told():
    small = Card("NVIDIA H200", 140_000_000_000)
    assert check(plan(), [H200, small]) == Finding("gpus", OK, "2 x NVIDIA H200 with 140 GB each")
