import pytest

from launcher.clouds.accelerators import capability
from launcher.images.docker_engine import Card
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, Finding
from launcher.preflight.machine import kernels as check
from launcher.runfolder.plan import Code, Machine, Plan

H200 = Card("NVIDIA H200", 141_000_000_000, 9.0, "580.65.06")


def plan(*accelerators, cloud="lambda"):
    return Plan("run", "some-7b", (), "one", Code("0"), Machine(cloud, accelerators))


def test_without_gpus_there_is_nothing_to_run():
    assert check(plan(), True, []) == Finding("kernels", OK, "the recipe needs no GPU")


def test_cards_of_the_table_are_told_with_their_capability():
    assert check(plan("H100-SXM:8", "A6000:4"), True, []) == Finding(
        "kernels", OK, "compute capability: H100-SXM:8 9.0, A6000:4 8.6"
    )
    says = "not checked: GPU X1:8 is not in the table"
    assert check(plan("X1:8"), True, []) == Finding("kernels", UNKNOWN, says, "watch the first steps")
    some = Finding("kernels", UNKNOWN, f"{says}; compute capability: A6000:4 8.6", "watch the first steps")
    assert check(plan("X1:8", "A6000:4"), True, []) == some


@pytest.mark.parametrize(("cloud", "unseen"), [("aws", "aws"), ("slurm", "slurm"), ("aws,lambda,gcp", "aws and gcp")])
def test_nobody_has_seen_the_driver_of_a_cluster_and_of_an_experimental_cloud(cloud, unseen):
    says = f"not checked: the NVIDIA driver on {unseen}; CUDA 13 needs 580 or newer; compute capability: A6000:4 8.6"
    unknown = Finding("kernels", UNKNOWN, says, "watch the first steps")
    assert check(plan("A6000:4", cloud=cloud), True, []) == unknown
    assert check(plan("T4:1", cloud=cloud), True, []).level == REFUSED


@pytest.mark.parametrize(("name", "value"), [("T4:1", 7.5), ("RTX5090:1", 12.0)])
def test_a_card_that_no_kernel_is_compiled_for_is_refused(name, value):
    says = f"{name} has compute capability {value}; the image needs 8.x, 9.x or 10.x, for flash-attn"
    assert check(plan("H100-SXM:1", name), True, []) == Finding("kernels", REFUSED, says, "take another GPU: `--gpus`")
    assert check(plan("H100-SXM:1", name), False, []).level == OK


def test_without_flash_attention_only_what_cuda_no_longer_knows_is_refused():
    v100 = Card("Tesla V100", 32_000_000_000, 7.0, "580.1")
    says = "Tesla V100 has compute capability 7.0; the image needs 7.5 or more, for CUDA 13"
    assert check(plan("V100:1"), False, [v100]) == Finding("kernels", REFUSED, says, "take another GPU: `--gpus`")


def test_a_name_that_two_cards_share_has_the_lower_capability():
    assert (capability("A100"), capability("H100"), capability("none")) == (8.0, 9.0, None)


def test_this_machine_s_driver_has_to_know_the_image_s_cuda():
    assert check(plan("H100-SXM:1"), True, [H200]).level == OK
    old = Card("NVIDIA H200", 1, 9.0, "570.133.20")
    assert check(plan("H100-SXM:1"), True, [H200, old]) == Finding(
        "kernels",
        REFUSED,
        "the driver here is 570.133.20; CUDA 13 in the image needs 580 or newer",
        "update the NVIDIA driver, or run elsewhere",
    )
