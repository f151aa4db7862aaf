"""The emulator by hand: `python -m tests.emulator FOLDER VM_IMAGE`. It prints the environment for SkyPilot."""

import signal
import sys
from pathlib import Path

from tests.emulator.client import client
from tests.emulator.pods import DockerPods
from tests.emulator.server import Emulator


def main() -> None:
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    folder, image = Path(sys.argv[1]).resolve(), sys.argv[2]
    with Emulator(folder, DockerPods(folder.name), image) as emulator:
        environment = client(folder / "client", emulator)
        text = "".join(f"export {name}='{value}'\n" for name, value in environment.items() if name != "PATH")
        (folder / "environment").write_text(text)
        print(text, flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
