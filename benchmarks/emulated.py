"""The benchmarks that want a provider and a Docker engine, where no account is at hand: with the tests' emulated RunPod
and their engine.

    python -m benchmarks.emulated [--rounds N]

The machines are containers on this one, made by an unmodified SkyPilot. Code that is not committed is refused, as
anywhere else.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.support.measure import ROOT
from tests.emulator.client import client, end_server
from tests.emulator.pods import DockerPods
from tests.emulator.server import Emulator
from tests.support.engine import running

RECIPE = "gad-tiny"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", default="3")
    args = options.parse_args()
    with running() as engine, tempfile.TemporaryDirectory(prefix="emulated-") as folder:
        os.environ.update(DOCKER=engine.docker, DOCKER_HOST=engine.host)
        base = engine.local_base
        image = [sys.executable, "-m", "launcher", "image", RECIPE, "--base", base]
        subprocess.run(image, cwd=ROOT, check=True)
        pods = DockerPods(f"bench-{os.getpid()}")
        with Emulator(Path(folder), pods, base) as emulator:
            env = {**client(Path(folder) / "client", emulator), "XDG_STATE_HOME": f"{folder}/state"}
            command = [sys.executable, "-m", "benchmarks", "launch", "images", "--rounds", args.rounds]
            try:
                code = subprocess.run(command, cwd=ROOT, env={**env, "DOCKER_HOST": engine.host}).returncode
            finally:
                end_server(env)
                pods.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
