"""The engine's own words, as real engines said them."""

import pytest

from launcher.images.docker_engine import Card, Facts, cards, connect, digest_of, facts


@pytest.mark.parametrize(
    ("info", "wanted"),
    [
        ({"MemTotal": 25, "Runtimes": {"runc": {}}, "SecurityOptions": ["name=seccomp"]}, Facts(25, False, False)),
        (
            {"MemTotal": 1, "Runtimes": {"runc": {}, "nvidia": {}}},
            Facts(1, True, False),
        ),
        ({"MemTotal": 1, "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}, Facts(1, True, False)),
        ({"MemTotal": 1, "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}, Facts(1, False, True)),
        ({"DiscoveredDevices": None, "Runtimes": None, "SecurityOptions": None}, Facts(0, False, False)),
    ],
)
def test_facts(info, wanted):
    assert facts(info) == wanted


def test_an_engine_that_does_not_answer_is_a_sentence(monkeypatch, tmp_path, refusal):
    place = f"unix://{tmp_path / 'none.sock'}"
    monkeypatch.setenv("DOCKER_HOST", place)
    assert refusal(connect) == (
        f"error: no Docker engine answers at `{place}`\n\nhint: start Docker, or name its socket in DOCKER_HOST"
    )
    assert digest_of("launcher-some:cpu-1") is None


@pytest.mark.parametrize(
    ("said", "code", "wanted"),
    [
        ("NVIDIA H200, 143771, 9.0, 580.65.06", 0, [Card("NVIDIA H200", 143771 << 20, 9.0, "580.65.06")]),
        (
            "NVIDIA H100 80GB HBM3, 81559, 9.0, 570.1\nNVIDIA H100 80GB HBM3, 81559, 9.0, 570.1",
            0,
            [Card("NVIDIA H100 80GB HBM3", 81559 << 20, 9.0, "570.1")] * 2,
        ),
        ("No devices were found", 6, []),
        ("Odd Card, [N/A], 8.0, 580.1", 0, []),
        ("Older Card, 81559", 0, []),
    ],
)
def test_cards_are_what_the_driver_lists(tmp_path, monkeypatch, said, code, wanted):
    """The driver's own tool is stood in for: the lowest there is."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == wanted


def test_without_a_driver_there_are_no_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cards() == []
