"""A function over many items, in several processes: results in order, and in bounded memory."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from recipes.common.stage.command import StageError

MOST = 8
"""Processes, however many cores there are."""
AHEAD = 2
"""Items, or their results, that wait for each process."""
PDEATHSIG = 1
"""prctl's, of Linux: the signal that a process gets when its parent dies."""

Item = TypeVar("Item")
Result = TypeVar("Result")
_work: Callable[[Any], Any]


@contextmanager
def process_map(
    work: Callable[[Item], Result], processes: int
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    """Yields a function that maps `work` over items in `processes` other processes; with 0, in this process.

    The processes are forks, made when the block begins. They share what `work` has in memory by then, without
    pickling. This process must not have started threads.
    """
    if not processes:
        yield lambda items: map(work, items)
        return
    gc.collect()
    gc.freeze()  # a collection would write to what is shared, and so copy it
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(work,)) as pool:
        pool.submit(int).result()  # forks them all
        try:
            yield lambda items: _in_order(pool, items, AHEAD * processes)
        except BrokenProcessPool:
            hint = "the memory was probably full: use a machine with more memory, or fewer cores"
            raise StageError("a process that prepared rows was killed", hint) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def spare() -> int:
    """How many other processes the available cores can serve; 0 where a fork is not safe."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    return min(MOST, cores) if cores > 1 else 0


def die_with_parent() -> None:
    """This process is killed when the one that started it ends, however that ends."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    die_with_parent()
    _work = work


def _do(item: Any) -> Any:
    return _work(item)


def _in_order(pool: ProcessPoolExecutor, items: Iterable[Any], most: int) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for item in items:
        waiting.append(pool.submit(_do, item))
        if len(waiting) > most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
