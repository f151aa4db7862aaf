"""Shows how many of a model's tensors are finished, where the caller looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from recipes.common.stage.command import Progress


@contextmanager
def tensor_progress(work: Path | None) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with (finished, all): steps in `{work}/progress.jsonl`, or else a bar on a terminal."""
    if work:
        yield Progress(work).step
        return
    with tqdm(unit=" tensors", disable=None) as bar:

        def show(finished: int, total: int) -> None:
            bar.total = total
            bar.update(finished - bar.n)

        yield show
