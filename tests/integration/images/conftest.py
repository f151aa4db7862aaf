"""The engine, for the tests of this folder."""

from tests.support.engine import cpu_image, engine, local_base

__all__ = ["cpu_image", "engine", "local_base"]
