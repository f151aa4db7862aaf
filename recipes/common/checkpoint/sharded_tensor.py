"""One tensor of a sharded checkpoint, read in any stretch without being put together first.

The kernel is told which pages of the mapped files to fetch soon and which to forget. Both are hints: a kernel that
ignores them costs time or memory, never correctness.
"""

import ctypes
import functools
import math
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch

from recipes.common.checkpoint.records import Record
from recipes.common.stage.command import StageError

BLOCK = 1 << 21
"""Elements read at a time: 8 MB of float32, which bounds the memory used."""

READ_AHEAD = 256 << 20
"""Bytes that the disk is asked for beyond the block in hand."""


FAULT_AROUND = 64 << 10
"""A page fault maps neighbours too, from an address divisible by this (Linux, mm/memory.c, `fault_around_bytes`)."""


class Tensor(Protocol):
    """A tensor of a checkpoint, whatever wrote it: its shape and type are known, its numbers are read in stretches."""

    @property
    def folder(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def numel(self) -> int: ...

    def read(self, start: int, out: torch.Tensor) -> None: ...

    def fetch_soon(self, start: int, stop: int) -> None: ...


class Part(NamedTuple):
    """What one rank holds of a tensor, in the rank's mapped file."""

    rows: torch.Tensor
    """(rows of the flattened tensor, this rank's run of each), contiguous, not empty."""
    file_start: int
    """Address of the first tensor in the file."""
    compare: Callable[[torch.Tensor], None] | None = None
    """Is told each piece that has been read, and drops it; None where nothing is compared with the file's checksums."""
    record: Record | None = None

    def leave(self, piece: torch.Tensor) -> None:
        """The piece has been read, and its pages are not needed any more."""
        if self.compare is None:
            drop(piece, self.file_start)
        else:
            self.compare(piece)


@dataclass(frozen=True)
class ShardedTensor:
    """A tensor cut along one dimension. Seen as a matrix with that dimension and all later ones as its columns, the
    ranks hold columns of it, in order; cut along the first dimension, the matrix has one row."""

    folder: str
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    parts: list[Part]
    copies: list[Part]
    """Of a replicated tensor, which has one part: what the other ranks hold."""

    def __post_init__(self) -> None:
        held = sum(part.rows.numel() for part in self.parts)
        if held != self.numel:
            raise StageError(
                f"`{self.folder}`: `{self.name}` is `{list(self.shape)}`, and its files have {held} of its "
                f"{self.numel} elements",
                "copy the whole checkpoint again, or use an earlier one",
            )

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    def read(self, start: int, out: torch.Tensor) -> None:
        """`out` (one dimension, contiguous) holds the flattened elements from `start` on, cast to its own type.

        StageError when the ranks' copies of these elements are not the same bytes.
        """
        for part, piece, offset, stride in self._pieces(start, start + len(out)):
            out.as_strided(piece.shape, (stride, 1), out.storage_offset() + offset).copy_(piece)
            for copy in self.copies:
                self._compare(piece, copy.rows[:, start : start + len(out)], copy)
            part.leave(piece)

    def full(self) -> torch.Tensor:
        """The whole tensor in ordinary memory, in its shape and type."""
        flat = torch.empty(self.numel, dtype=self.dtype)
        for _, start, stop in read_ahead([self]):
            self.read(start, flat[start:stop])
        return flat.view(self.shape)

    def fetch_soon(self, start: int, stop: int) -> None:
        """The disk has been asked for the flattened elements `start` to `stop`."""
        for _, piece, _, _ in self._pieces(start, stop):
            fetch_soon(piece)

    def shares_memory(self, other: "ShardedTensor") -> bool:
        """Whether both names stand for the same bytes in the files, as the two of a tied embedding do."""
        return self.shape == other.shape and [part.rows.data_ptr() for part in self.parts] == [
            part.rows.data_ptr() for part in other.parts
        ]

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[Part, torch.Tensor, int, int]]:
        """Contiguous pieces of the parts, each with the offset of its first element from `start`, and of row to row."""
        width = sum(part.rows.shape[1] for part in self.parts)
        for offset, top, bottom, left, right in _rectangles(start, stop, width):
            first = 0
            for part in self.parts:
                begin, end = max(left, first), min(right, first + part.rows.shape[1])
                if begin < end:
                    piece = part.rows[top:bottom, begin - first : end - first]
                    yield part, piece, offset + begin - left, right - left
                first += part.rows.shape[1]

    def _compare(self, piece: torch.Tensor, copy: torch.Tensor, part: Part) -> None:
        same = torch.equal(piece.view(torch.uint8), copy.view(torch.uint8))
        part.leave(copy)
        if not same:
            demand_sound(self)
            raise StageError(
                f"`{self.folder}`: `{self.name}` is replicated, but not the same on every rank",
                "the ranks of this run had drifted apart: use an earlier checkpoint",
            )


@dataclass(frozen=True)
class TensorSlice:
    """Neighbouring elements of a sharded tensor, under a name and in a shape of their own: one expert of a layer."""

    name: str
    source: Tensor
    start: int
    """Of its first element in the flattened source."""
    shape: tuple[int, ...]

    @property
    def folder(self) -> str:
        return self.source.folder

    @property
    def dtype(self) -> torch.dtype:
        return self.source.dtype

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    def read(self, start: int, out: torch.Tensor) -> None:
        """As `ShardedTensor.read`."""
        self.source.read(self.start + start, out)

    def fetch_soon(self, start: int, stop: int) -> None:
        """As `ShardedTensor.fetch_soon`."""
        self.source.fetch_soon(self.start + start, self.start + stop)


def demand_sound(*tensors: Tensor) -> None:
    """Returns when the bytes of the tensors are those that were saved. StageError when a rank file is damaged."""
    for tensor in tensors:
        whole = tensor.source if isinstance(tensor, TensorSlice) else tensor
        if isinstance(whole, ShardedTensor):
            for part in (*whole.parts, *whole.copies):
                if part.record:
                    part.record.finish()


def read_ahead(
    tensors: Iterable[Tensor],
) -> Iterator[tuple[Tensor, int, int]]:
    """The tensors' blocks in order, as (tensor, start, stop), the disk being asked for each READ_AHEAD bytes early.

    A tensor without elements has one block, which is empty.
    """
    waiting: deque[tuple[Tensor, int, int]] = deque()
    ahead = 0
    for tensor in tensors:
        for start in range(0, max(tensor.numel, 1), BLOCK):
            stop = min(start + BLOCK, tensor.numel)
            tensor.fetch_soon(start, stop)
            waiting.append((tensor, start, stop))
            ahead += (stop - start) * tensor.dtype.itemsize
            while ahead > READ_AHEAD:
                block = waiting.popleft()
                ahead -= (block[2] - block[1]) * block[0].dtype.itemsize
                yield block
    yield from waiting


def _rectangles(start: int, stop: int, width: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Elements `start` to `stop` of a matrix `width` wide as at most three rectangles: the offset from `start`, first
    and last row, first and last column. One of several rows is as wide as the matrix."""
    at = start
    while at < stop:
        row, left = divmod(at, width)
        if left == 0 and stop - at >= width:
            rows, right = (stop - at) // width, width
        else:
            rows, right = 1, min(width, left + stop - at)
        yield at - start, row, row + rows, left, right
        at += rows * (right - left)


def fetch_soon(tensor: torch.Tensor) -> None:
    """The disk has been asked for the contiguous tensor's pages; returns before they arrive."""
    _advise(_down(tensor.data_ptr(), mmap.PAGESIZE), tensor.data_ptr() + tensor.nbytes, mmap.MADV_WILLNEED)


def drop(tensor: torch.Tensor, file_start: int) -> None:
    """The contiguous tensor's pages, and those before it that came with them, no longer count as this process's memory.

    Only for tensors of `torch.load(..., mmap=True)`, whose pages come back from the file: on ordinary memory this would
    erase the data. `file_start` is the address of the first tensor in the same file: nothing before its page is
    touched. The last page stays when it is shared with what follows.
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
