"""Copied as `sitecustomize.py` to the front of a stage's PYTHONPATH: in every Python process of the stage the pinned
package comes from the pinned checkout, or its import fails. `pinned.json` lies beside it."""

import importlib.util
import json
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

HERE = os.path.dirname(os.path.abspath(__file__))


class Pinned:
    """A finder that answers for one package and refuses any copy of it outside `root`."""

    def __init__(self, package: str, root: str, commit: str):
        self.package, self.root, self.commit = package, os.path.realpath(root), commit

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name != self.package:
            return None
        spec = PathFinder.find_spec(name, [self.root])
        if spec is None or not self.owns(spec):
            raise ImportError(f"`{name}` is pinned to commit {self.commit[:12]}, but {self.root} does not hold it")
        return spec

    def owns(self, spec: ModuleSpec) -> bool:
        paths = [spec.origin] if spec.origin else list(spec.submodule_search_locations or [])
        return all(os.path.realpath(path).startswith(self.root + os.sep) for path in paths)


def install() -> None:
    """Puts the finder first. A `sitecustomize` of the environment still runs."""
    with open(os.path.join(HERE, "pinned.json"), encoding="utf-8") as file:
        sys.meta_path.insert(0, Pinned(**json.load(file)))
    others = [path for path in sys.path if os.path.abspath(path) != HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "sitecustomize":
    install()
