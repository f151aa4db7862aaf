"""One table of GPUs: what SkyPilot calls each of them on each cloud, and how much memory it has. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from launcher.clouds import providers


@dataclass(frozen=True)
class Card:
    """A GPU. `name` says which one without doubt; `common` is SkyPilot's word for it where a provider's row has no
    other; None where only the providers rent it whose rows have a word for it."""

    name: str
    gibibytes: int
    capability: float
    """NVIDIA's compute capability: which compiled kernels it runs."""
    common: str | None

    def on(self, cloud: str) -> str | None:
        """SkyPilot's word for it on a cloud; None where it is not rented."""
        row = providers.provider(cloud)
        return row.gpus.get(self.name, self.common) if row else self.common


CARDS = (
    Card("B200", 180, 10.0, "B200"),
    Card("H200-SXM", 141, 9.0, "H200"),
    Card("H100-SXM", 80, 9.0, "H100"),
    Card("H100-PCIe", 80, 9.0, None),
    Card("H100-NVL", 94, 9.0, "H100-NVL"),
    Card("GH200", 96, 9.0, "GH200"),
    Card("A100-80GB-SXM", 80, 8.0, "A100-80GB"),
    Card("A100-80GB-PCIe", 80, 8.0, None),
    Card("A100-40GB", 40, 8.0, "A100"),
    Card("RTXPRO6000", 96, 12.0, "RTXPRO6000"),
    Card("L40S", 48, 8.9, "L40S"),
    Card("L40", 48, 8.9, "L40"),
    Card("RTX6000-Ada", 48, 8.9, "RTX6000-Ada"),
    Card("A6000", 48, 8.6, "A6000"),
    Card("A40", 48, 8.6, "A40"),
    Card("RTX5090", 32, 12.0, "RTX5090"),
    Card("RTX4090", 24, 8.9, "RTX4090"),
    Card("RTX3090", 24, 8.6, "RTX3090"),
    Card("L4", 24, 8.9, "L4"),
    Card("A10", 24, 8.6, "A10"),
    Card("T4", 16, 7.5, "T4"),
)
"""Names from SkyPilot 0.14.1's catalogs v8 and sky/provision/runpod/utils.py; memory from NVIDIA's data sheets, in GB
as they are sold; capabilities from developer.nvidia.com/cuda-gpus."""
MAJORS = (8, 9, 10)
"""flash-attn is compiled for 8.0, 9.0 and 10.0 (images/base); a kernel runs on every later minor of its major."""


def for_cloud(accelerators: Iterable[str], cloud: str) -> tuple[str, ...]:
    """A job's alternatives, as `H100-SXM:8`, in a cloud's words; without those that the cloud does not rent. A word
    that several cards share (`H100`) is the card that the job names without doubt elsewhere, or else any of them. A
    word that is not in the table stays as it is; on an experimental cloud, also one that is no card's own name."""
    required = [(name, count) for name, _, count in (text.partition(":") for text in accelerators)]
    exact = {(card.name, count) for name, count in required for card in CARDS if card.name == name}
    alternatives = []
    for name, count in required:
        cards = [card for card in CARDS if name == card.name] or cards_of(name)
        if any((card.name, count) in exact for card in cards):
            cards = [card for card in cards if (card.name, count) in exact]
        names = [card.on(cloud) for card in cards] or [name]
        if providers.experimental([cloud]) and name not in {card.name for card in CARDS}:
            names = [name]
        alternatives += [f"{own}:{count}" for own in names if own]
    return tuple(dict.fromkeys(alternatives))


def cards_of(name: str) -> list[Card]:
    """The cards that are called so on some cloud."""
    names = {(card, row.gpus.get(card)) for row in providers.PROVIDERS for card in row.gpus}
    return [card for card in CARDS if name in (card.name, card.common) or (card.name, name) in names]


def gibibytes(name: str) -> int | None:
    """The memory of a card, the least where several are called so; None for one that is not in the table."""
    return min((card.gibibytes for card in cards_of(name)), default=None)


def capability(name: str) -> float | None:
    """The compute capability of a card, the lowest where several are called so; None for one not in the table."""
    return min((card.capability for card in cards_of(name)), default=None)
