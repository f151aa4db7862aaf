import pytest

from launcher.clouds.accelerators import CARDS, cards_of, for_cloud, gibibytes

JOB = ("H100-SXM:8", "H100:8", "H200-SXM:8", "A100-80GB-SXM:8", "A100-80GB:8", "B200:8")


@pytest.mark.parametrize(
    ("cloud", "words"),
    [
        ("runpod", ("H100-SXM:8", "H200-SXM:8", "A100-80GB-SXM:8", "B200:8")),
        ("lambda", ("H100:8", "H200:8", "A100-80GB:8", "B200:8")),
        ("kubernetes", ("H100:8", "H200:8", "A100-80GB:8", "B200:8")),
    ],
)
def test_a_card_has_each_cloud_s_own_name_and_a_shared_word_brings_no_other_card(cloud, words):
    assert for_cloud(JOB, cloud) == words


@pytest.mark.parametrize(
    ("wanted", "cloud", "words"),
    [
        ("H100:8", "runpod", ("H100-SXM:8", "H100:8")),
        ("H100:8", "lambda", ("H100:8",)),
        ("H100-PCIe:1", "runpod", ("H100:1",)),
        ("H100-PCIe:1", "kubernetes", ()),
        ("A6000:2", "runpod", ("RTXA6000:2",)),
        ("RTXA6000:2", "lambda", ("A6000:2",)),
        ("RTXA6000:2", "vast", ("RTXA6000:2",)),
        ("H100-SXM:8", "aws", ("H100:8",)),
        ("tpu-v5:4", "runpod", ("tpu-v5:4",)),
    ],
)
def test_a_word_alone_is_any_card_that_is_called_so(wanted, cloud, words):
    assert for_cloud([wanted], cloud) == words


def test_another_count_of_the_same_card_is_another_wish():
    assert for_cloud(["H100-SXM:8", "H100:4"], "runpod") == ("H100-SXM:8", "H100-SXM:4", "H100:4")


def test_a_job_without_gpus_has_none():
    assert for_cloud([], "runpod") == ()


def test_no_two_cards_have_one_name_and_every_word_leads_to_its_card():
    assert len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        for cloud in ("runpod", "lambda", "kubernetes"):
            if word := card.on(cloud):
                assert card in cards_of(word)
                assert f"{word}:8" in for_cloud([f"{card.name}:8"], cloud)


def test_memory_is_the_least_of_what_a_word_may_mean():
    assert (gibibytes("H200-SXM"), gibibytes("H100"), gibibytes("A100"), gibibytes("X")) == (141, 80, 40, None)
