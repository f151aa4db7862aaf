"""SkyPilot's own set-up of a node, taken from the package that the image holds, finds everything already there."""

import json
import re
from pathlib import Path

import pytest

from tests.support.patience import Deadline

SKY_SAYS = (Path(__file__).parent / "sky_says.py").read_text()
HOME = "/root/skypilot-runtime"
OFFLINE = ("--network", "none")
TRIED = r"Downloading|Could not resolve|error sending request|Failed to fetch|Prepared \d|Installed \d|unreachable"
"""What uv, curl and apt say when something is missing."""
LOOK = """
echo; echo ===
cat ~/.sky/python_path ~/.sky/ray_path ~/.sky/wheels/current_sky_wheel_hash
cd /; $(cat ~/.sky/python_path) -c 'import sky, ray; print(sky.__version__, ray.__version__)'
ls ~/sky_templates | head -1
"""


@pytest.fixture(scope="module")
def image(cpu_image):
    return cpu_image("gad-tiny")


@pytest.fixture(scope="module")
def baked(engine, image):
    return engine.run(image, "cat", "/root/.sky/wheels/current_sky_wheel_hash").strip()


def says(engine, image, cloud, wheel_hash):
    return json.loads(engine.run(image, f"{HOME}/bin/python", "-c", SKY_SAYS, cloud, wheel_hash).splitlines()[-1])


def test_the_baked_hash_is_the_one_that_a_client_of_the_same_lock_computes(engine, image, baked):
    code = "from sky.backends.wheel_utils import build_sky_wheel; print(build_sky_wheel()[1])"
    said = engine.run(image, f"{HOME}/bin/python", "-c", code, options=(*OFFLINE, "--env", "HOME=/tmp"))
    assert said.split()[-1] == baked


@pytest.mark.parametrize("cloud", ["runpod", "lambda"])
def test_its_commands_find_everything_without_a_network(engine, image, baked, cloud):
    [command] = says(engine, image, cloud, baked)["setup"]
    begun = Deadline(120)
    # called as in sky/utils/command_runner.py; then the state is looked at, in the same container
    said = engine.run(image, "bash", "--login", "-c", f"source ~/.bashrc\n({command}) || exit 1\n{LOOK}")
    setup, _, state = said.partition("\n===\n")
    assert "skypilot" in setup and not re.search(TRIED, setup), setup
    python, ray, wheel_hash, versions, template = state.split("\n")[:5]
    assert (python, ray, wheel_hash) == (f"{HOME}/bin/python", f"{HOME}/bin/ray", baked)
    assert versions == "0.14.1 2.9.3" and template
    assert not begun.over, f"nothing is downloaded, so that it takes seconds, not {begun}"


def test_debian_s_packages_that_its_clouds_install_are_there(engine, image, baked):
    wanted = says(engine, image, "runpod", baked)["packages"]
    assert {"rsync", "curl", "wget", "patch", "openssh-server", "fuse"} <= set(wanted)
    install = f"apt-get install -y {' '.join(wanted)} && ssh-keygen -A && service ssh start"
    assert " 0 newly installed" in engine.run(image, "bash", "-c", install)


def test_sshd_makes_its_keys_when_it_starts(engine, image):
    """On a VM nobody else makes them: SkyPilot only starts the service in its container."""
    look = "! ls /etc/ssh/ssh_host_* 2> /dev/null && service ssh start && ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key"
    assert "(ED25519)" in engine.run(image, "bash", "-c", look)


def test_its_ray_is_patched_and_starts(engine, image):
    originals = f"find {HOME} -name '*-v2.9.3.orig' | wc -l"
    start = "ray start --head --port 6380 --num-cpus 1 --disable-usage-stats"
    # a head that has just started has no status yet; `timeout` is the limit, and its exit code fails the test
    status = "timeout 90 bash -c 'until ray status --address 127.0.0.1:6380 | grep \"1.0 CPU\"; do sleep 1; done'"
    said = engine.run(image, "bash", "-c", f"PATH={HOME}/bin:$PATH; {originals}; {start} && {status}")
    assert said.startswith("7\n") and "1.0 CPU" in said
