"""Which rows a step trains on: a function of the step alone, so that resuming needs no saved position."""

import numpy as np


def rows_of_step(step: int, batch: int, rows: int, seed: int) -> list[int]:
    """`batch` row numbers for `step` (from 1).

    Epoch after epoch, each row once an epoch in a new order, without a gap at the seam: a batch may end one epoch and
    begin the next, and rows * epochs // batch steps are exactly `epochs` epochs.
    """
    first, last = (step - 1) * batch, step * batch
    orders = {epoch: _order(epoch, rows, seed) for epoch in range(first // rows, (last - 1) // rows + 1)}
    return [orders[index // rows][index % rows] for index in range(first, last)]


def _order(epoch: int, rows: int, seed: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(rows).tolist()
