"""What is proposed for a cluster that was looked at."""

from launcher.diagnosis.installation import Cluster, parse_cluster, slurm_section

CLUSTER = """\
Welcome!
partition dev|30:00|1|64|250000|(null)|up
partition gpu_h100|3-00:00:00|12|96|770000|gpu:h100:4|up
partition old|1-00:00:00|2|40|94000|gpu:v100:4|down
account bw1|normal,high
python python3 3.9
python python3.11 3.11
python python3.12 3.12
command sbatch
command rsync
command apptainer
workspace id: launcher
workspace remaining time: 12 days 3 hours
"""


def test_the_first_partition_with_gpus_and_the_newest_python_are_proposed():
    assert slurm_section(parse_cluster(CLUSTER), "uc3") == (
        "slurm:\n"
        "  host: uc3\n"
        "  work: launcher/runs   # a folder on storage that all nodes share\n"
        "  partition: gpu_h100\n"
        '  time: "3-00:00:00"\n'
        "  account: bw1   # QOS: normal,high\n"
        "  interpreter: python3.12\n"
        "# partition dev: 1 nodes, 64 cores, 250000 MB, (null), up to 30:00\n"
        "# partition gpu_h100: 12 nodes, 96 cores, 770000 MB, gpu:h100:4, up to 3-00:00:00\n"
        "# partition old: 2 nodes, 40 cores, 94000 MB, gpu:v100:4, up to 1-00:00:00, down\n"
        "# with a `registry`, `software: apptainer` runs the recipes' images\n"
        "# it has apptainer\n"
        "# workspace id: launcher\n"
        "# workspace remaining time: 12 days 3 hours\n"
    )


def test_a_machine_that_is_no_login_node_says_so():
    said = slurm_section(Cluster(), None)
    assert said.startswith("slurm:\n# there is no sbatch here: is this the login node?\n")
    assert "no Python 3.10 or newer" in said and "there is no rsync here" in said
