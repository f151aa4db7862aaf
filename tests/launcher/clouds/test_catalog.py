import os
from pathlib import Path

import pytest

from launcher.clouds.catalog import Catalog, Kind, folder, read_catalogs
from launcher.config.job import Job

HEADER = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Region,SpotPrice,Price,AvailabilityZone,GpuInfo\n"
)


def write(tmp_path, text, cloud="runpod"):
    path = tmp_path / cloud / "vms.csv"
    path.parent.mkdir()
    path.write_text(text)
    os.utime(path, (86400, 86400))
    return path


def test_a_list_is_where_skypilot_keeps_it():
    assert folder({"HOME": "/h"}) == Path("/h/.sky/catalogs/v8")
    assert folder({"HOME": "/h", "SKY_RUNTIME_DIR": "/r"}) == Path("/r/.sky/catalogs/v8")


def test_a_machine_of_many_zones_is_one_kind_with_its_regions(tmp_path):
    rows = [
        """8x_B200_SECURE,B200,8.0,224.0,1440.0,US,28.72,54.32,US-CA-2,"{'Gpus': [{'Name': 'B200'}]}"\n""",
        "8x_B200_SECURE,B200,8.0,224.0,1440.0,US,28.72,54.32,US-KS-2,\n",
        "8x_B200_SECURE,B200,8.0,224.0,1440.0,RO,28.72,54.32,EU-RO-1,\n",
        "8x_B200_SECURE,B200,8.0,224.0,1440.0,SE,28.72,60.0,EU-SE-1,\n",
        "cpu3c-2-4,,,2.0,4.0,US,,0.06,US-CA-2,\n",
        "gone,B200,1.0,2.0,4.0,US,,,US-CA-2,\n",
        "given,B200,1.0,2.0,4.0,US,,0.0,US-CA-2,\n",
    ]
    write(tmp_path, HEADER + "".join(rows))
    assert read_catalogs(["runpod", "lambda"], tmp_path, 10 * 86400) == {
        "runpod": Catalog(
            "runpod",
            (
                Kind("8x_B200_SECURE", "B200", 8, 224.0, 1440.0, 54.32, ("US", "RO")),
                Kind("8x_B200_SECURE", "B200", 8, 224.0, 1440.0, 60.0, ("SE",)),
                Kind("cpu3c-2-4", "", 0, 2.0, 4.0, 0.06, ("US",)),
            ),
            9.0,
        )
    }


@pytest.mark.parametrize("text", ["a,b\n1,2\n", HEADER + "a,B200,8,1,1,US,,dear,,\n"])
def test_a_list_that_is_none_is_as_if_it_were_not_there(tmp_path, text):
    write(tmp_path, text)
    assert read_catalogs(["runpod"], tmp_path, 0) == {}


def test_of_an_experimental_cloud_skypilot_says_which_machines_fit_once_it_has_a_list(tmp_path, monkeypatch):
    asked = []
    row = {"InstanceType": "p5", "AcceleratorName": "H100", "AcceleratorCount": "8", "vCPUs": 192, "MemoryGiB": 2048}

    def machine_rows(*words):
        asked.append(words)
        return [{**row, "Price": 98.32, "Region": ""}]

    monkeypatch.setattr("launcher.clouds.skypilot.machine_rows", machine_rows)
    job = Job(Path("jobs/a.yaml"), ("H100-SXM:8", "H100:8"), 2, None, None, "8+")
    assert read_catalogs(["aws"], tmp_path, 0, job) == {} and not asked
    write(tmp_path, HEADER, "aws")
    assert read_catalogs(["aws"], tmp_path, 86400 * 2) == {}
    assert read_catalogs(["aws"], tmp_path, 86400 * 2, job) == {
        "aws": Catalog("aws", (Kind("p5", "H100", 8, 192, 2048, 98.32, ("",)),), 1.0)
    }
    assert asked == [("aws", ("H100:8",), "8+", None)]
    monkeypatch.setattr("launcher.clouds.skypilot.machine_rows", lambda *_: None)
    assert read_catalogs(["aws"], tmp_path, 0, job) == {}
