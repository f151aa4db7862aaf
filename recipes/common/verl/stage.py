"""What a training loop is asked to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.common.verl.checkpoints import Checkpoint


@dataclass(frozen=True)
class Stage:
    """What the loop needs to know besides verl's configuration."""

    mode: str
    steps: int
    world_size: int
    seed: int
    work: Path
    save_every: int
    validate_every: int
    keep_last: int
    resume: Checkpoint | None
    """This stage's own newest checkpoint."""
    start: Path | None
    """Another stage's output, with `actor/` and `critic/`: where step 0 starts; None: from the model's weights."""
    recipe: Any = None
    """What the recipe's own trainer wants to know besides."""
