"""The local Docker engine as a column of the matrix: its processes are seen from outside, and its run folder too."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.backends.docker import FOLDER
from tests.faults.local import HOLD, Local
from tests.support.engine import Engine

BAKED = """\
FROM {image}
COPY sitecustomize.py /tmp/held.py
RUN cd "$(echo /opt/venv/lib/python3*/site-packages)" && mv /tmp/held.py . && echo import held > held.pth
"""
"""Debian's Python has a sitecustomize of its own, which comes before any of a virtual environment."""


@dataclass
class Docker(Local):
    """The toy's user with an engine."""

    words: tuple[str, ...] = ("--cloud", "docker")
    client: Any = field(default=None)

    def remains(self) -> list[str]:
        return [*super().remains(), *(container.name for container in self._containers())]

    def clear(self) -> None:
        """No container of the run is left, whatever happened."""
        for container in self._containers():
            container.remove(force=True)

    def _containers(self) -> list[Any]:
        return self.client.containers.list(all=True, filters={"label": f"{FOLDER}={self.folder.path}"})


def holding(engine: Engine, image: str, folder: Path, name: str | None = None) -> str:
    """The image, whose Python can be held from now on, under this name, or its own."""
    (folder / "Dockerfile").write_text(BAKED.format(image=image))
    (folder / "sitecustomize.py").write_bytes((HOLD / "sitecustomize.py").read_bytes())
    engine.build(folder, "-t", name or image)
    return name or image
