"""The engine, for the tests of this folder."""

from tests.engine import cpu_image, engine, local_base

__all__ = ["cpu_image", "engine", "local_base"]
