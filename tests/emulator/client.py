"""A laptop that knows nothing but the emulator: a home folder and an environment for SkyPilot."""

import contextlib
import os
from pathlib import Path

import psutil

from tests.emulator import catalog
from tests.emulator.server import Emulator
from tests.support.ports import free_port

PORT = "SKYPILOT_API_SERVER_LOCAL_PORT"


def client(folder: Path, emulator: Emulator, key: str | None = None) -> dict[str, str]:
    """The whole environment of a subprocess; its HOME, below `folder`, holds credentials for both providers and the
    catalogs. `key` is the API key it uses, the right one if none is given. Nothing of the caller's own environment is
    in it but PATH, LANG, USER and TMPDIR."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    write_keys(home, key or emulator.key)
    catalog.write(home)
    return {
        **{name: os.environ[name] for name in ("LANG", "PATH", "TMPDIR", "USER") if name in os.environ},
        "HOME": str(home),
        "RUNPOD_API_BASE_URL": emulator.url,
        "HTTPS_PROXY": emulator.url,
        "NO_PROXY": "127.0.0.1,localhost",
        "REQUESTS_CA_BUNDLE": str(emulator.authority.ca),
        "SSL_CERT_FILE": str(emulator.authority.ca),
        PORT: str(free_port()),
        "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
        "PYTHONWARNINGS": "ignore",
        "NO_COLOR": "1",
    }


def write_keys(home: Path, key: str) -> None:
    """Both providers' credential files hold this key. SkyPilot's API server reads RunPod's once, when it starts."""
    runpod, lambda_ = home / ".runpod" / "config.toml", home / ".lambda_cloud" / "lambda_keys"
    for path, text in ((runpod, f'[default]\napi_key = "{key}"\n'), (lambda_, f"api_key = {key}\n")):
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)


def end_server(environment: dict[str, str]) -> None:
    """SkyPilot's API server of that environment is gone, with the processes that carry out its requests: they have
    titles where others have an environment, so that they are known by their parent alone."""
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(PORT) == environment[PORT]:
                processes += [process, *process.children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
