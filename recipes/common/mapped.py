"""Advice to the kernel about tensors that lie in a mapped file: what to fetch soon, what to forget.

Only for tensors of `torch.load(..., mmap=True)`, whose pages come back from the file: on ordinary memory `drop` would
erase the data. Both are hints; a kernel that ignores them costs time or memory, never correctness.
"""

import ctypes
import functools
import mmap
from collections.abc import Callable

import torch

FAULT_AROUND = 64 << 10
"""A page fault maps neighbours too, from an address divisible by this (Linux, mm/memory.c, `fault_around_bytes`)."""


def fetch_soon(tensor: torch.Tensor) -> None:
    """The disk has been asked for the contiguous tensor's pages; returns before they arrive."""
    _advise(_down(tensor.data_ptr(), mmap.PAGESIZE), tensor.data_ptr() + tensor.nbytes, mmap.MADV_WILLNEED)


def drop(tensor: torch.Tensor, file_start: int) -> None:
    """The contiguous tensor's pages, and those before it that came with them, no longer count as this process's memory.

    `file_start` is the address of the first tensor in the same file: nothing before its page is touched. The last page
    stays when it is shared with what follows.
    """
    first = max(_down(tensor.data_ptr(), FAULT_AROUND), _down(file_start, mmap.PAGESIZE))
    _advise(first, _down(tensor.data_ptr() + tensor.nbytes, mmap.PAGESIZE), mmap.MADV_DONTNEED)


def _down(address: int, step: int) -> int:
    return address - address % step


def _advise(first: int, end: int, advice: int) -> None:
    if first < end:
        _madvise()(first, end - first, advice)


@functools.cache
def _madvise() -> Callable[[int, int, int], int]:
    function = ctypes.CDLL(None).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
