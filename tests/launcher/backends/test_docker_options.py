"""What a container gets, by value."""

import dataclasses
from pathlib import Path

import pytest

from launcher.backends.docker import gpus, mounts, name_of, options, user
from launcher.config.site import DockerSite
from launcher.images.docker_engine import Facts
from launcher.images.identity import PROGRAM
from launcher.runfolder.paths import RunFolder
from launcher.runfolder.plan import Code, Image, Machine, Plan

FACTS = Facts(memory=64 << 30, gpus=False, rootless=False)
FOLDER = RunFolder(Path("/data/a b/runs/.store/some"))
IMAGE = Image("launcher-some:cpu-1", "cpu", "l" * 64, "c" * 64)
PLAN = Plan(
    "some",
    "some-tiny",
    (),
    "one",
    Code("0", ("recipes/common", "recipes/some")),
    image=IMAGE,
    secrets={"HF_TOKEN": True},
)


def made(plan=PLAN, site=None, env=None):
    return options(plan, FOLDER, site or DockerSite(), FACTS, env or {})


def test_the_node_program_gets_the_run_folder_under_its_own_path():
    found = made()
    assert found["command"] == [
        "/opt/venv/bin/python",
        "-m",
        "launcher.node",
        "/data/a b/runs/.store/some",
        "--code",
        "/opt/launcher",
    ]
    assert mounts(PLAN, FOLDER, Path("/project")) == {
        "/data/a b/runs/.store/some": {"bind": "/data/a b/runs/.store/some", "mode": "rw"},
        "/data/a b/runs/.store/some/inputs": {"bind": "/data/a b/runs/.store/some/inputs", "mode": "ro"},
    }


def test_secrets_are_in_the_environment_and_nowhere_else():
    env = {"HF_TOKEN": "hf_canary", "AWS_SECRET_ACCESS_KEY": "not the plan's", "WANDB_MODE": "offline", "PATH": "/bin"}
    found = made(env=env)
    assert found["environment"] == {
        "HOME": "/tmp",
        "USER": "launcher",
        "HF_TOKEN": "hf_canary",
        "WANDB_MODE": "offline",
    }
    del found["environment"]
    assert "canary" not in repr(found)


def test_a_secret_that_is_not_set_is_not_passed():
    assert made(env={"HF_TOKEN": ""})["environment"] == {"HOME": "/tmp", "USER": "launcher"}


def test_limits_are_the_site_s():
    assert {"mem_limit", "nano_cpus"} & made().keys() == set()
    assert made()["shm_size"] == 32 << 30
    found = made(site=DockerSite(memory="24GiB", cpus=1.5, shm="2GiB"))
    assert (found["mem_limit"], found["nano_cpus"], found["shm_size"]) == (24 << 30, 1_500_000_000, 2 << 30)


def test_offline_means_no_network_at_all():
    assert (made()["network_mode"], made()["use_config_proxy"]) == ("bridge", True)
    found = made(site=DockerSite(offline=True))
    assert (found["network_mode"], found["use_config_proxy"]) == ("none", False)


def test_a_container_is_known_by_its_run_folder():
    other = RunFolder(Path("/elsewhere/some"))
    assert name_of(FOLDER) == name_of(RunFolder(FOLDER.path)) != name_of(other)
    assert name_of(FOLDER).startswith("launcher-some-")
    assert made()["labels"] == {
        "launcher.run": "some",
        "launcher.folder": "/data/a b/runs/.store/some",
        "launcher.recipe": "some-tiny",
    }


def test_the_working_tree_lies_over_the_image_only_when_the_plan_says_so(project):
    laid = dataclasses.replace(PLAN, image=dataclasses.replace(IMAGE, overlay=True))
    found = mounts(laid, FOLDER, project)
    assert {path: one for path, one in found.items() if path.startswith(str(project))} == {
        str(project / one): {"bind": f"/opt/launcher/{one}", "mode": "ro"}
        for one in ("recipes/common", "recipes/some", *PROGRAM)
    }


def test_files_belong_to_the_calling_user_also_where_root_in_the_container_is_that_user():
    assert user(FACTS, 1000, 100) == "1000:100"
    assert user(dataclasses.replace(FACTS, rootless=True), 1000, 100) == "0:0"


def test_a_recipe_that_wants_gpus_gets_them_or_a_sentence(refusal):
    wants = dataclasses.replace(PLAN, machine=Machine("docker", ("H100:8", "B200:8")))
    assert not gpus(PLAN, FACTS)
    assert gpus(wants, dataclasses.replace(FACTS, gpus=True))
    assert refusal(gpus, wants, FACTS) == (
        "error: `some-tiny` needs H100:8 or B200:8; this Docker engine has no GPU runtime\n\n"
        "hint: install the NVIDIA Container Toolkit and run `sudo nvidia-ctk runtime configure --runtime=docker`"
    )


@pytest.mark.parametrize("site", [{"memory": "much"}, {"cpus": 0}, {"shm": -1}, {"network": "none"}])
def test_a_site_that_says_nonsense_is_refused(site):
    with pytest.raises(ValueError):
        DockerSite(**site)
