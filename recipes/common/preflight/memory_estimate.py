"""How much memory a stage is expected to take, part by part, from the model's configuration. Pure arithmetic.

An estimate to compare with what is measured: allocators round up, and libraries keep buffers of their own.
"""

from dataclasses import dataclass
from pathlib import Path

from recipes.common.stage.command import StageError
from recipes.common.stage.files import read_json

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a weight in 4 bits: half a byte, a byte of scale for 64 weights, a float for 256 scales (arXiv:2305.14314)."""
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
LOSS_BYTES = 8
"""Of each token and word of the vocabulary besides the logits: the softmax in float32, and its gradient."""


@dataclass(frozen=True)
class Shape:
    """The sizes that determine a decoder's memory."""

    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    attention: int
    """Width of all queries."""
    keys: int
    """Width of the keys of one token; the values are as wide."""
    tied: bool

    @property
    def linear(self) -> int:
        """Weights of the layers' projections."""
        queries, others = 2 * self.hidden * self.attention, 2 * self.hidden * self.keys
        return self.layers * (queries + others + 3 * self.hidden * self.intermediate)

    @property
    def embeddings(self) -> int:
        """Weights of the embedding and the output layer."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    def activations(self, tokens: int, size: int, recomputed: bool) -> float:
        """Bytes that a backward pass over so many tokens needs, of `size` bytes a value: about 8 vectors of the hidden
        width and 4 of the intermediate one in each layer; when `recomputed`, in one layer, and every layer's input."""
        layer = tokens * (8 * self.hidden + 4 * self.intermediate) * size
        return float(self.layers * tokens * self.hidden * size + layer if recomputed else self.layers * layer)

    def logits(self, tokens: int, size: int) -> float:
        """Bytes of the logits of so many tokens, with their softmax and its gradient in float32."""
        return float(tokens * self.vocabulary * (size + LOSS_BYTES))

    def lora(self, rank: int) -> int:
        """Weights of an adapter on all seven projections."""
        wide = 2 * (self.hidden + self.attention) + 2 * (self.hidden + self.keys)
        return self.layers * rank * (wide + 3 * (self.hidden + self.intermediate))


def shape_of(model: Path) -> Shape:
    """The shape that a model folder's config.json states. StageError when the model is not a decoder."""
    config = read_json(model / "config.json") or {}
    try:
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return Shape(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            attention=width * heads,
            keys=width * (config.get("num_key_value_heads") or heads),
            tied=bool(config.get("tie_word_embeddings")),
        )
    except KeyError as missing:
        raise StageError(
            f"`{model / 'config.json'}` has no `{missing.args[0]}`", "name the folder of a decoder model"
        ) from None


def weights(shape: Shape, dtype: str, nf4: bool) -> float:
    """Bytes of the weights; in 4 bits all but the embeddings."""
    return shape.linear * (NF4_BYTES if nf4 else BYTES[dtype]) + shape.embeddings * BYTES[dtype]


def cache(shape: Shape, dtype: str, tokens: int) -> float:
    """Bytes of the keys and values of so many tokens."""
    return 2 * shape.layers * shape.keys * tokens * BYTES[dtype]


def generating(shape: Shape, dtype: str, nf4: bool, sequences: int, length: int) -> dict[str, float]:
    """Bytes by part while so many sequences grow to `length` tokens."""
    return {
        "weights": weights(shape, dtype, nf4),
        "kv_cache": cache(shape, dtype, sequences * length),
        "logits": shape.logits(sequences, BYTES[dtype]),
    }


def training(shape: Shape, dtype: str, nf4: bool, trained: int, tokens: int, recomputed: bool) -> dict[str, float]:
    """Bytes by part of training `trained` weights with AdamW on `tokens` at a time.

    The trained weights, their gradients and AdamW's two states are float32.
    """
    return {
        "weights": weights(shape, dtype, nf4),
        "adapter": 4.0 * trained,
        "gradients": 4.0 * trained,
        "optimizer": 8.0 * trained,
        "activations": shape.activations(tokens, BYTES[dtype], recomputed),
        "logits": shape.logits(tokens, BYTES[dtype]),
    }


def whole(shape: Shape, dtype: str, optimizer: str, tokens: int, recomputed: bool) -> dict[str, float]:
    """Bytes by part of training all weights with AdamW, which are float32, as their gradients are.

    AdamW's two states are float32 too, or a byte each (`8bit`). Where `dtype` has 16 bits, torch's autocast keeps a
    copy of the layers' weights in it until the forward pass ends.
    """
    count, size = shape.linear + shape.embeddings, BYTES[dtype]
    return {
        "weights": 4.0 * count,
        "gradients": 4.0 * count,
        "optimizer": (2.0 if "8bit" in optimizer else 8.0) * count,
        "autocast": float(size * shape.linear) if size < 4 else 0.0,
        "activations": shape.activations(tokens, size, recomputed),
        "logits": shape.logits(tokens, size),
    }


def numbers(predicted: dict[str, float], peak: int) -> dict[str, float]:
    """What a stage puts into its metrics, in GB: the sum, its parts, and the measured peak."""
    parts = {f"memory_{name}_gb": round(size / 1e9, 4) for name, size in predicted.items()}
    total = round(sum(predicted.values()) / 1e9, 4)
    return {"memory_predicted_gb": total, "memory_peak_gb": round(peak / 1e9, 4), **parts}
