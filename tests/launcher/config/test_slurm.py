"""The `slurm:` section of site.yaml."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from launcher.config.slurm import Needs, SlurmSite, gigabytes, seconds
from launcher.config.yaml import check
from launcher.errors import LaunchError


def site(**words):
    return check({"slurm": words}["slurm"], SlurmSite, "site.yaml")


@pytest.mark.parametrize(
    ("text", "length"),
    [("90", 5400), ("2:30", 150), ("2:00:00", 7200), ("1-12", 129600), ("1-12:30", 131400), ("2-00:00:01", 172801)],
)
def test_a_time_is_read_as_slurm_reads_it(text, length):
    assert seconds(text) == length


@given(some.integers(0, 30), some.integers(0, 23), some.integers(0, 59), some.integers(0, 59))
def test_every_whole_time_is_its_length(days, hours, minutes, rest):
    assert seconds(f"{days}-{hours:02}:{minutes:02}:{rest:02}") == ((days * 24 + hours) * 60 + minutes) * 60 + rest


def test_a_time_that_yaml_took_for_a_number_is_refused_with_the_cure(refusal):
    assert refusal(site, time=7200) == (
        'error: `site.yaml`: `time` is `7200`: quote it: "2:00:00" is two hours, "90" is 90 minutes, '
        '"2-00:00:00" two days\n\nhint: correct `time`'
    )
    assert "it is not a time of Slurm's" in refusal(site, time="two hours")


def test_what_the_script_decides_itself_cannot_be_an_option(refusal):
    assert "the launcher decides `--signal` itself" in refusal(site, options={"signal": "USR1"})
    assert "`options.-x" in refusal(site, options={"-x": "1"})


@given(some.text(alphabet=some.characters(max_codepoint=31), min_size=1))
def test_a_value_of_several_lines_is_refused(text):
    with pytest.raises(LaunchError):
        site(partition=f"gpu{text}")


def test_a_host_needs_a_folder_and_a_folder_a_host(refusal):
    assert "name the folder for runs there: `work`" in refusal(site, host="uc3")
    assert "it is `store` that says where" in refusal(site, work="runs")
    assert refusal(site, host="-oProxyCommand=x", work="runs").startswith("error: `site.yaml`: `host` is ")


def test_a_stage_s_words_replace_the_common_ones_and_null_takes_one_away():
    own = {"verify": {"partition": "cpu", "gres": None, "options": {"mem": "10G"}}}
    found = site(partition="gpu", account="a", gres="gpu:4", options={"mem": "100G", "exclusive": True}, stages=own)
    assert found.needs("warmup") == Needs(
        partition="gpu", account="a", gres="gpu:4", options={"mem": "100G", "exclusive": True}
    )
    assert found.needs("verify").model_dump(exclude_defaults=True) == {
        "partition": "cpu",
        "account": "a",
        "options": {"mem": "10G", "exclusive": True},
    }


def test_what_skypilot_cannot_do_on_a_cluster_is_refused(refusal):
    held = {"via": "sky", "host": "uc3", "work": "runs"}
    assert "`via: sky` reaches a cluster by ssh: name its login node as `host`" in refusal(site, via="sky")
    assert "an allocation that SkyPilot holds is one for all stages: leave out `stages`" in refusal(
        site, **held, stages={"verify": {"time": "30"}}
    )
    assert "`via: sky` decides `--mem-per-gpu` itself: say `mem` and `cpus-per-task`, for each node" in refusal(
        site, **held, options={"mem-per-gpu": "100G"}
    )


def test_a_python_is_no_container_and_a_login_node_starts_no_pyxis(refusal):
    assert "`python` is for `software: environment`, not for `pyxis`" in refusal(site, software="pyxis", python="/x")
    assert "the login node starts no Pyxis container: leave out `login`, or use `apptainer`" in refusal(
        site, software="pyxis", login=["model"]
    )


@pytest.mark.parametrize(("text", "size"), [("1024", 1), ("512M", 0.5), ("100G", 100), ("2T", 2048), ("1048576K", 1)])
def test_a_size_is_read_as_slurm_reads_it(text, size):
    assert gigabytes(text) == size
