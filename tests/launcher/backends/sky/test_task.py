"""What a launch submits to SkyPilot, said as its YAML would say it."""

from dataclasses import replace

from launcher.backends.sky.handshake import WAIT
from launcher.backends.sky.task import allocation_run, allocation_task, machine_task, run_task
from launcher.config.slurm import SlurmSite
from launcher.config.yaml import parse
from launcher.runfolder.plan import Code, Image, Machine, Plan, Stage

JOB = """
name: gad-7b
num_nodes: 1
resources:
  accelerators: [H100-SXM:8, B200:8]
  disk_size: 1500
envs:
  RUN: .
run: |
  exec python -m launcher.node "$RUN"
"""
IMAGE = Image("ghcr.io/acme/launcher-gad:cuda-0123456789ab", "cuda", "l", "c")


def plan(cloud, **changes):
    stages = (Stage("a", ("true",)),)
    whole = Plan("my-run", "gad-7b", stages, "a", Code(""), Machine(cloud, ("H100-SXM:8", "B200:8")), image=IMAGE)
    return replace(whole, **changes)


def test_the_machine_runs_nothing_and_may_be_any_of_the_alternatives_of_any_cloud():
    assert machine_task(plan("runpod,lambda"), parse(JOB)) == {
        "name": "my-run",
        "num_nodes": 1,
        "resources": {
            "disk_size": 1500,
            "image_id": "docker:ghcr.io/acme/launcher-gad:cuda-0123456789ab",
            "any_of": [
                {"infra": "runpod", "accelerators": "H100-SXM:8"},
                {"infra": "runpod", "accelerators": "B200:8"},
                {"infra": "lambda", "accelerators": "H100:8"},
                {"infra": "lambda", "accelerators": "B200:8"},
            ],
        },
    }


def test_one_alternative_is_no_choice():
    text = JOB.replace("  disk_size: 1500\n", "")
    one = plan("runpod", machine=Machine("runpod", ("H100-SXM:8",)))
    assert machine_task(one, parse(text))["resources"] == {
        "image_id": "docker:ghcr.io/acme/launcher-gad:cuda-0123456789ab",
        "infra": "runpod",
        "accelerators": "H100-SXM:8",
    }


def test_a_job_without_gpus_names_the_clouds_alone():
    text = JOB.replace("accelerators: [H100-SXM:8, B200:8]", "cpus: 2+")
    none = plan("runpod,lambda", machine=Machine("runpod,lambda"))
    resources = machine_task(none, parse(text))["resources"]
    assert resources["cpus"] == "2+"
    assert resources["any_of"] == [{"infra": "runpod"}, {"infra": "lambda"}]


def test_a_digest_says_which_image_without_doubt():
    digest = replace(IMAGE, digest="sha256:" + "0" * 64)
    resources = machine_task(plan("runpod", image=digest), parse(JOB))["resources"]
    assert resources["image_id"] == f"docker:{IMAGE.name}@sha256:{'0' * 64}"


def test_the_run_starts_the_node_program_on_the_run_folder_and_holds_no_secret():
    assert run_task(plan("runpod", secrets={"HF_TOKEN": True}), parse(JOB), "word") == {
        "name": "my-run",
        "num_nodes": 1,
        "envs": {"RUN": "/workspace/my-run", "LAUNCH": "word"},
        "run": WAIT + 'exec python -m launcher.node "$RUN"\n',
    }


SLURM = {"via": "sky", "host": "uc3", "work": "runs"}


def held(**site):
    return allocation_task(plan("slurm", image=None), parse(JOB), SlurmSite(**SLURM, **site))


def test_an_allocation_is_asked_for_in_the_cluster_s_own_partition_and_with_its_account():
    assert held(partition="gpu", account="me", time="2:00:00", options={"mem": "100G", "exclusive": True}) == {
        "name": "my-run",
        "num_nodes": 1,
        "resources": {
            "memory": 100.0,
            "any_of": [
                {"infra": "slurm/uc3/gpu", "accelerators": "H100:8"},
                {"infra": "slurm/uc3/gpu", "accelerators": "B200:8"},
            ],
        },
        "config": {"slurm": {"sbatch_options": {"account": "me", "time": "2:00:00", "exclusive": True}}},
    }


def test_the_site_s_gres_goes_before_the_job_file_s_gpus_and_partitions_are_alternatives():
    assert held(partition="a,b", gres="gpu:h100:4", options={"cpus-per-task": 24})["resources"] == {
        "cpus": 24,
        "any_of": [
            {"infra": "slurm/uc3/a", "accelerators": "h100:4"},
            {"infra": "slurm/uc3/b", "accelerators": "h100:4"},
        ],
    }
    assert held(gres="gpu:4")["resources"]["any_of"][0] == {"infra": "slurm/uc3", "accelerators": "H100:8"}


def test_a_held_run_starts_on_one_node_alone():
    assert allocation_run(plan("slurm"), "/pfs/runs/my-run") == {
        "name": "my-run",
        "num_nodes": 1,
        "envs": {"RUN": "/pfs/runs/my-run"},
        "run": 'exec bash "$RUN/slurm/allocation.sh"\n',
    }
