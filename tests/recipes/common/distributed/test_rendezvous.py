"""Where ranks meet follows from the variables of whoever started the machines."""

import pytest

from recipes.common.distributed.rendezvous import STARTED, Meeting, by_srun, is_rank, meeting, nodes_of
from recipes.common.stage.command import Mistake


def test_one_machine_meets_itself_at_a_free_port():
    one, two = meeting({}), meeting({"NNODES": "1", "MASTER_ADDR": "elsewhere"})
    assert (one.nodes, one.node, one.address) == (two.nodes, two.node, two.address) == (1, 0, "127.0.0.1")
    assert one.port > 1023


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        (
            {"NNODES": "4", "MASTER_ADDR": "n1", "MASTER_PORT": "20007", "SLURM_NODEID": "2"},
            Meeting(4, 2, "n1", 20007),
        ),
        (
            {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1", "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2"},
            Meeting(2, 1, "10.0.0.1", 29500),
        ),
    ],
)
def test_several_machines_meet_at_the_first(environment, found):
    assert meeting(environment) == found


def test_machines_are_counted():
    assert [nodes_of(one) for one in ({}, {"NNODES": "3"}, {"SKYPILOT_NUM_NODES": "2"})] == [1, 3, 2]


def test_machines_without_a_place_to_meet_are_refused():
    with pytest.raises(Mistake) as caught:
        meeting({"NNODES": "2"})
    assert (caught.value.error, caught.value.hint) == (
        "there are 2 machines, and neither MASTER_ADDR nor SKYPILOT_NODE_IPS names the first one",
        "set MASTER_ADDR to the name of the first machine",
    )


def test_srun_is_for_the_first_process_of_a_slurm_job_of_several_machines():
    job = {"NNODES": "2", "SLURM_JOB_ID": "7"}
    assert by_srun(job) and not by_srun(job | {STARTED: "1"})
    assert not by_srun({"NNODES": "1", "SLURM_JOB_ID": "7"}) and not by_srun({"NNODES": "2"})


def test_a_rank_knows_itself_by_torchrun_s_variables():
    assert is_rank({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}) and not is_rank({"RANK": "0"})
