"""Runs in an image, with the SkyPilot that is baked there: what its set-up of a node would run, and which of Debian's
packages its clouds install. `python sky_says.py CLOUD WHEEL_HASH` prints JSON."""

import json
import re
import sys
from pathlib import Path

import jinja2
import sky
import yaml
from sky.skylet import constants

HOME = Path(sky.__file__).parent


def setup(cloud: str, wheel_hash: str) -> list[str]:
    """The template's commands, filled in with the constants that sky/backends/backend_utils.py gives it."""
    install = constants.RAY_SKYPILOT_INSTALLATION_COMMANDS.replace("{sky_wheel_hash}", wheel_hash)
    filled = jinja2.Template((HOME / f"templates/{cloud}-ray.yml.j2").read_text()).render(
        num_nodes=1,
        credentials={},
        docker_login_config=None,
        docker_image=None,
        initial_setup_commands=[],
        conda_installation_commands="",
        uv_installation_commands=constants.UV_INSTALLATION_COMMANDS,
        ray_skypilot_installation_commands=install.replace("{cloud}", cloud),
        copy_skypilot_templates_commands=constants.COPY_SKYPILOT_TEMPLATES_COMMANDS,
        ssh_max_sessions_config=constants.SET_SSH_MAX_SESSIONS_CONFIG_CMD,
    )
    return yaml.safe_load(filled)["setup_commands"]


def packages() -> list[str]:
    """What `apt install` is given for a RunPod pod, and in a container on a VM."""
    packages = set()
    for name in ("runpod/utils.py", "docker_utils.py"):
        text = (HOME / "provision" / name).read_text()
        lists = [
            line for line in re.findall(r"(?:[a-z0-9-]+ ){3,}[a-z0-9-]+", text) if "rsync" in line and "patch" in line
        ]
        assert len(lists) == 1, lists
        packages |= {package for package in lists[0].split() if package not in ("apt", "install", "-y")}
    return sorted(packages)


if __name__ == "__main__":
    print(json.dumps({"setup": setup(*sys.argv[1:]), "packages": packages()}))
