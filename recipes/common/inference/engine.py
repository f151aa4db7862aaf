"""The engine that a stage's settings name, with its model loaded."""

from recipes.common.inference.types import Engine, Loading
from recipes.common.inference.vllm_cpu import check_installed
from recipes.common.stage.command import Mistake


def open_engine(name: str, loading: Loading) -> Engine:
    """The engine `name` of ENGINES with the model loaded. It holds the GPU until its process ends."""
    if name == "vllm":
        if loading.device == "cpu":
            check_installed("engine", "transformers")
        try:
            from recipes.common.inference.vllm_engine import VllmEngine
        except ModuleNotFoundError as missing:
            raise Mistake(
                f"`engine` is `vllm`, and `{missing.name}` is not installed", "use the CUDA image, or `transformers`"
            ) from None
        return VllmEngine(loading)
    from recipes.common.inference.transformers_engine import TransformersEngine

    return TransformersEngine(loading)
