"""Every job file works with plain SkyPilot, and what we say of machines and prices is what SkyPilot does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.clouds.accelerators import for_cloud
from launcher.clouds.catalog import folder, read_catalogs
from launcher.clouds.offers import offers
from launcher.clouds.providers import provider
from launcher.config.job import read_job
from tests.emulator import catalog

ROOT = Path(__file__).parent.parent.parent.parent
CLOUDS = ("lambda", "runpod")
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("home")
    catalog.write(path)
    return path


@pytest.fixture(scope="module")
def said(home):
    """{(cloud, job's name): (how its dry run ends, machines)}"""
    asked = {cloud: {str(job): for_cloud(read_job(job).accelerators, cloud) for job in JOBS} for cloud in CLOUDS}
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    argv = [sys.executable, str(Path(__file__).parent / "dryrun.py")]
    done = subprocess.run(argv, input=json.dumps(asked), capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout.splitlines()[-1])
    return {(cloud, Path(job).stem): (ends, machines) for cloud, job, ends, machines in lines}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_a_job_file_is_launched_by_sky_alone_where_the_cloud_can(said, cloud, job):
    ends, _ = said[cloud, job.stem]
    if provider(cloud).no_joining and read_job(job).nodes > 1:
        assert "Multi-node not supported" in ends
    else:
        assert ends is True


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_our_offers_are_the_machines_that_skypilot_would_take_at_its_prices(said, home, cloud, job):
    catalogs = read_catalogs(CLOUDS, folder({"HOME": str(home)}), 0.0)
    ours = {(one.instance_type, one.price_per_hour) for one in offers(read_job(job), [cloud], catalogs)}
    assert sorted(ours) == [tuple(one) for one in said[cloud, job.stem][1]]
