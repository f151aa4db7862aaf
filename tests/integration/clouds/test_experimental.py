"""A cloud without a row in the table of providers: each job file on each of them, as far as SkyPilot goes without an
account."""

import csv
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.clouds.providers import cloud_names
from launcher.config.job import read_job

ROOT = Path(__file__).parent.parent.parent.parent
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))
CLOUDS = {
    "aws": "us-east-1",
    "azure": "eastus",
    "gcp": "us-central1",
    "nebius": "eu-north1",
    "vast": "US",
    "fluidstack": "us",
    "do": "nyc2",
}
"""A region of each, for its price list. Kubernetes has none: SkyPilot asks the cluster itself about every machine, with
a client library that its plain installation does not have."""
GPUS = {
    "H100": 3.0,
    "H200": 4.0,
    "B200": 7.0,
    "A100-80GB": 1.5,
    "A100": 1.2,
    "L40S": 1.0,
    "A10": 0.7,
    "L4": 0.6,
    "T4": 0.5,
}
"""Dollars an hour of each."""
ALONE = ("vast",)
"""SkyPilot joins no machines there."""


CPUS = {
    "aws": "m6i.2xlarge",
    "azure": "Standard_D8s_v5",
    "gcp": "n4-standard-8",
    "nebius": "cpu-e2_8vcpu-32gb",
}
"""A machine without GPUs that SkyPilot takes there unless it is told otherwise."""


HOSTS = {
    "A100": {count: f"a2-highgpu-{count}g" for count in (1, 2, 4, 8)},
    "A100-80GB": {count: f"a2-ultragpu-{count}g" for count in (1, 2, 4, 8)},
    "H100": {count: f"a3-highgpu-{count}g" for count in (1, 2, 4, 8)},
    "H200": {8: "a3-ultragpu-8g"},
    "B200": {8: "a4-highgpu-8g"},
    "L4": {1: "g2-standard-16", 2: "g2-standard-24", 4: "g2-standard-48", 8: "g2-standard-96"},
}
"""The machines on which GCP has each GPU (sky/catalog/gcp_catalog.py)."""


def rows(cloud, region):
    """SkyPilot's price list of a cloud that rents 1, 2, 4 or 8 of each GPU, and one machine without."""
    yield _row(region, CPUS.get(cloud, "cpu"), "", 0, 0.4)
    for name, price in GPUS.items():
        for count in (1, 2, 4, 8):
            if cloud != "gcp":
                machine = f"Standard_NX{count}_{name.replace('-', '_')}_v4" if cloud == "azure" else f"{count}x_{name}"
                yield _row(region, machine, name, count, price * count)
            elif host := HOSTS.get(name, {}).get(count):  # the price list of GCP has GPUs and their hosts in rows apart
                yield {**_row(region, "", name, count, price * count), "vCPUs": "", "MemoryGiB": ""}
                yield {**_row(region, host, "", 0, 0.1 * count), "vCPUs": 16.0 * count, "MemoryGiB": 128.0 * count}


def _row(region, machine, name, count, price):
    gpu = {"Name": name, "Manufacturer": "NVIDIA", "Count": count, "MemoryInfo": {"SizeInMiB": 81920}}
    return {
        "InstanceType": machine,
        "AcceleratorName": name,
        "AcceleratorCount": float(count) if count else "",
        "vCPUs": 16.0 * count or 8.0,
        "MemoryGiB": 128.0 * count or 32.0,
        "GpuInfo": str({"Gpus": [gpu], "TotalGpuMemoryInMiB": 81920 * count}) if count else "",
        "Price": price,
        "SpotPrice": price / 2,
        "Region": region,
        "AvailabilityZone": f"{region}a",
        "Generation": "V2",
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """SkyPilot's clouds; {(cloud, job's name): (obstacle, SkyPilot's machines, our offers)}"""
    home = tmp_path_factory.mktemp("home")
    for cloud, region in CLOUDS.items():
        path = home / ".sky/catalogs/v8" / cloud / "vms.csv"
        path.parent.mkdir(parents=True)
        lines = list(rows(cloud, region))
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        (path.parent / "images.csv").write_text("Tag,Region,OS,OSVersion,ImageId,CreationDate\n")
    names = home / ".sky/catalogs/v8/common/accelerators.csv"
    names.parent.mkdir()
    names.write_text("AcceleratorName,Clouds\n" + "".join(f"{name},['AWS']\n" for name in GPUS))
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    argv = [sys.executable, "-m", "tests.integration.clouds.experimental"]
    request = json.dumps({cloud: [str(job) for job in JOBS] for cloud in CLOUDS})
    done = subprocess.run(argv, input=request, capture_output=True, text=True, env=env, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    clouds, lines = json.loads(done.stdout.splitlines()[-1])
    return clouds, {(cloud, Path(job).stem): rest for cloud, job, *rest in lines}


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_skypilot_takes_each_job_file_and_we_plan_with_its_machines_and_prices(answers, cloud, job):
    obstacle, machines, offers = answers[1][cloud, job.stem]
    several = read_job(job).nodes > 1
    if several and cloud in ALONE:
        assert obstacle.startswith("Multi-node not supported") and not machines
    else:
        assert obstacle is None and machines == offers
    assert offers


def test_the_page_of_clouds_names_the_clouds_where_our_images_can_run(answers, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs/reference")
    assert set(importlib.import_module("clouds").IMAGES) <= set(answers[0]) - set(cloud_names())
