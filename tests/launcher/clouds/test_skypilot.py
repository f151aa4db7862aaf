"""What SkyPilot says while it looks for a machine becomes a line for each place, and one sentence at the end."""

from types import SimpleNamespace

import pytest

from launcher.clouds import skypilot
from launcher.clouds.skypilot import Lines, Tried, no_capacity, obstacle
from launcher.errors import FAILED, MISTAKE

SAID = """\x1b[0m⚙︎ Launching on RunPod RO\x1b[0m (EU-RO-1).
W 11-21 17:29:18.970 PID=1 instance.py:120] run_instances error: There are none.
\x1b[33m⚙︎ Launching on Lambda us-east-1.\x1b[0m
W 11-21 17:29:19.344 PID=1 instance.py:125] run_instances error: insufficient-capacity: Not enough.
"""


class Nothing(Exception):
    failover_history = (ValueError("no\nroom"), ValueError("no room"))


def test_each_place_says_why_it_had_none():
    tried = Tried()
    stream = Lines(lambda line: [tried.read(line)])
    for at in range(0, len(SAID), 7):
        stream.write(SAID[at : at + 7])
    problem = no_capacity(Nothing(), tried.reasons)
    assert (problem.tried, problem.code) == (True, FAILED)
    assert problem.error == (
        "no machine is to be had: RunPod RO: There are none; Lambda us-east-1: insufficient-capacity: Not enough"
    )


def test_without_such_lines_skypilot_s_own_history_is_said_once():
    assert no_capacity(Nothing(), {}).error == "no machine is to be had: no room"


def test_where_nobody_was_asked_it_is_the_user_s_to_mend():
    problem = no_capacity(ValueError("Catalog does not contain any instances"), {})
    assert (problem.tried, problem.code, problem.hint) == (False, MISTAKE, "`sky check` says why")


def test_lines_are_handed_on_whole_and_without_colour():
    heard = []
    stream = Lines(heard.append)
    for part in ("\x1b[32mone", " line\x1b[0m\r", "\n", "two\nthr"):
        stream.write(part)
    assert heard == ["one line", "two"]


def test_a_cluster_s_price_is_unknown_where_skypilot_counts_nothing():
    def price(cloud, dollars):
        resources = SimpleNamespace(cloud=cloud, get_cost=lambda _: dollars)
        return skypilot._price(SimpleNamespace(launched_resources=resources, launched_nodes=2))

    assert (price("Kubernetes", 0.0), price("AWS", 3.5), price("Slurm", 0.0)) == (None, 7.0, 0.0)


def test_what_a_cluster_supports_is_not_asked_before_a_launch(monkeypatch, refusal):
    monkeypatch.setattr(skypilot, "_sky", lambda: pytest.fail("SkyPilot was asked"))
    assert refusal(obstacle, "kubernetes", 1, False, False, code=2).startswith("error: SkyPilot asks the cluster what")
