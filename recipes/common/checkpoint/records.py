"""The records of a file that `torch.save` wrote, and whether their bytes are those that it wrote.

The file is a zip: each tensor's bytes are one record, not compressed, and the directory at the end of the file has the
CRC-32 of each. torch does not compare it when it opens a file. Here the CRC-32 of each piece that is read is computed
in other threads, in whatever order the pieces come, and a record's own is put together from those of its pieces.
"""

import hashlib
import os
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from recipes.common.stage.command import StageError

AGAIN = "copy the file again, or use an earlier checkpoint"
HEADER = struct.Struct("<4s22xHH")
"""What precedes a record: signature, and the lengths of its name and of an extra field (APPNOTE.TXT of zip, 4.3.7)."""
POLYNOMIAL = 0xEDB88320
"""Of CRC-32, the lowest power first."""
DAMAGE = (zipfile.BadZipFile, struct.error, ValueError, EOFError, OverflowError, NotImplementedError)
"""What `zipfile` trips over in bytes that are no zip file."""
BLOCK = 4 << 20
SMALL = 64 << 10
"""Fewer bytes cost less than another thread does."""
THREADS = min(4, os.cpu_count() or 1)
WAITING = 8 << 20
"""Bytes that have been read and whose CRC-32 is not known yet: so much memory is used besides the block in hand."""


class NoRecords(Exception):
    """The file is no zip file of records that can be mapped."""


@dataclass
class Record:
    """A record of a file. `crc` is None when the file was saved without checksums."""

    file: Path
    name: str
    offset: int
    """Of its first byte in the file."""
    length: int
    crc: int | None
    tensor: str = ""
    """The name of a tensor in it."""
    pieces: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Of each piece whose CRC-32 is known: its end -> its start and the CRC-32."""
    is_compared: bool = False

    def add(self, start: int, stop: int, crc: int) -> None:
        """The bytes `start` to `stop` of the record have this CRC-32. StageError when the record is known by that, and
        is damaged."""
        if self.is_compared or start == stop:
            return
        first, before = self.pieces.pop(start, (start, 0))
        whole = combined(before, crc, stop - start)
        if first == 0 and stop == self.length:
            self._compare(whole)
        else:
            self.pieces[stop] = first, whole

    def finish(self) -> None:
        """Every byte of the record has been compared: those that nobody read are read now. StageError when it is
        damaged."""
        if self.is_compared or self.crc is None:
            return
        at, crc = 0, 0
        for start, stop, piece in sorted((start, stop, piece) for stop, (start, piece) in self.pieces.items()):
            if start >= at:
                crc = combined(self._read(at, start, crc), piece, stop - start)
                at = stop
        self._compare(self._read(at, self.length, crc))

    def _read(self, start: int, stop: int, crc: int) -> int:
        """The CRC-32 of what `crc` is of and the bytes `start` to `stop` after it."""
        with open(self.file, "rb", buffering=0) as file:
            file.seek(self.offset + start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                crc = zlib.crc32(block, crc)
                start += len(block)
        return crc

    def _compare(self, crc: int) -> None:
        if self.crc not in (None, crc):
            what = f", with tensor `{self.tensor}`," if self.tensor else ""
            raise StageError(
                f"`{self.file}`: record `{self.name}`{what} is damaged: its CRC-32 is `{crc:08x}`, "
                f"and `{self.crc:08x}` was saved",
                AGAIN,
            )
        self.pieces.clear()
        self.is_compared = True


class Checksums:
    """The CRC-32 of all that is read of some files."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._pool = ThreadPoolExecutor(THREADS)
        self._waiting: deque[tuple[Record, int, int, Future[int]]] = deque()

    def add(self, record: Record, address: int, forget: Callable[[Any], None], piece: Any) -> None:
        """`piece`, a contiguous tensor of the record, which begins at `address`, is compared some time later, and then
        forgotten. StageError when a record that was read before is damaged."""
        start, stop = piece.data_ptr() - address, piece.data_ptr() - address + piece.nbytes
        try:
            crc = None if piece.nbytes < SMALL else self._pool.submit(_crc, piece, forget)
        except RuntimeError:  # this process may not have another thread
            crc = None
        if crc is None:
            record.add(start, stop, _crc(piece, forget))
            return
        self._waiting.append((record, start, stop, crc))
        while sum(stop - start for _, start, stop, _ in self._waiting) > WAITING:
            self._compare_first()

    def finish(self) -> None:
        """Every byte of every record was compared, also of those that nobody has read. StageError when one is
        damaged."""
        while self._waiting:
            self._compare_first()
        for record in self.records:
            record.finish()

    def _compare_first(self) -> None:
        record, start, stop, crc = self._waiting.popleft()
        record.add(start, stop, crc.result())


def _crc(piece: Any, forget: Callable[[Any], None]) -> int:
    import torch

    crc = zlib.crc32(piece.view(torch.uint8).numpy())
    forget(piece)
    return crc


def read_records(file: Path) -> list[Record]:
    """The file's records in their order. Those that torch needs to make the tensors are compared, their names and the
    mesh of ranks, and so is whatever else is small. NoRecords when it is no such file, StageError when one of them is
    damaged, OSError when it cannot be read."""
    try:
        entries = _directory(file)
    except DAMAGE as problem:
        raise NoRecords from problem
    has_checksums = any(entry.CRC for entry in entries if entry.file_size)
    records = []
    with open(file, "rb") as handle:
        for entry in entries:
            handle.seek(entry.header_offset)
            signature, name, extra = HEADER.unpack(handle.read(HEADER.size).ljust(HEADER.size, b"\0"))
            start = entry.header_offset + HEADER.size + name + extra
            same_name = handle.read(name) == entry.orig_filename.encode()
            if signature != b"PK\3\4" or not same_name or entry.compress_type != zipfile.ZIP_STORED:
                raise StageError(f"`{file}`: the header of record `{_inner(entry)}` is damaged", AGAIN)
            records.append(Record(file, _inner(entry), start, entry.file_size, entry.CRC if has_checksums else None))
    for record in records:
        if record.length <= SMALL or not record.name.startswith("data/"):
            record.finish()
    return records


def damaged_record(stream: IO[bytes]) -> str | None:
    """The first record of the zip file in the stream that is damaged; None when none is, or it is no zip file."""
    try:
        archive = zipfile.ZipFile(stream)
    except DAMAGE:
        return None
    with archive:
        if not any(entry.CRC for entry in archive.infolist() if entry.file_size):
            return None
        try:
            return archive.testzip()
        except (*DAMAGE, RuntimeError) as problem:
            return str(problem)


def content_hash(file: Path) -> str:
    """Changes with the file's content. A file of `torch.save` is not read for it: its directory has each record's name,
    size and CRC-32, which are hashed. So a marker costs a few kilobytes of reading for a rank file of any size, another
    step's file has another hash, and damage inside a record is found by the record's CRC-32 when it is read. Of every
    other file, which are small, all bytes are hashed."""
    try:
        entries = [(entry.orig_filename, entry.file_size, entry.CRC) for entry in _directory(file)]
        return "records:" + hashlib.sha256(repr(entries).encode()).hexdigest()
    except DAMAGE:
        whole = hashlib.sha256()
        with open(file, "rb") as handle:
            while block := handle.read(BLOCK):
                whole.update(block)
        return "bytes:" + whole.hexdigest()


def _directory(file: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(file) as archive:
        return archive.infolist()


def _inner(entry: zipfile.ZipInfo) -> str:
    """The record's name without the archive's, which torch puts before it."""
    return entry.orig_filename.partition("/")[2] or entry.orig_filename


def combined(first: int, second: int, length: int) -> int:
    """The CRC-32 of two runs of bytes, one after the other, from that of each; `length` is the second's. As zlib's
    crc32_combine: the first is multiplied by x^(8 length), modulo the polynomial."""
    return _product(_power(8 * length), first) ^ second


@cache
def _power(exponent: int) -> int:
    """x^exponent, modulo the polynomial."""
    result, square = 1 << 31, 1 << 30
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square, exponent = _product(square, square), exponent >> 1
    return result


def _product(a: int, b: int) -> int:
    """Of two polynomials over the field of two elements, modulo CRC-32's; bit 31 is the constant term."""
    result, power = 0, 1 << 31
    while power:
        if a & power:
            result ^= b
        b = b >> 1 ^ POLYNOMIAL if b & 1 else b >> 1
        power >>= 1
    return result
