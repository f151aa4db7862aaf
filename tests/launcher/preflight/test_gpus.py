import pytest

from launcher.engine import Card
from launcher.node.records import Code, Machine, Plan
from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.gpus import check

H200 = Card("NVIDIA H200", 141_000_000_000)


def plan(need, accelerators=("H100-SXM:8", "B200:8")):
    return Plan("run", "some-7b", (), "one", Code("0"), Machine("docker", accelerators), gpu_bytes=need)


def test_a_recipe_without_gpus_fits_everywhere():
    assert check(plan(0, ()), []) == Finding("gpus", OK, "the recipe needs none")


def test_no_gpu_is_a_plain_sentence():
    assert check(plan(1), []) == Finding(
        "gpus",
        REFUSED,
        "`some-7b` wants H100-SXM:8 or B200:8, and no NVIDIA driver answers here",
        "`launcher rehearse some-7b --docker` runs it whole on this CPU",
    )


@pytest.mark.parametrize(
    ("need", "level", "hint"),
    [
        (112_000_000_000, OK, ""),
        (113_000_000_000, WARNING, "expect to lower batches and lengths"),
        (141_000_000_000, WARNING, "expect to lower batches and lengths"),
        (142_000_000_000, REFUSED, "take a smaller size, or rent the job file's machine"),
    ],
)
def test_the_need_is_compared_with_the_card(need, level, hint):
    says = f"weights, gradients and optimizer need {need // 10**9} GB; here: 1 x NVIDIA H200 with 141 GB in all"
    assert check(plan(need), [H200]) == Finding("gpus", level, says, hint)


def test_several_cards_are_counted_together():
    assert check(plan(280_000_000_000), [H200, H200]).level == WARNING
