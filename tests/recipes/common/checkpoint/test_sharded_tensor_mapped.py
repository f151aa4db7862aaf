"""Advice is given for a tensor's own pages: never before its file's first, never for what follows."""

import mmap

import pytest
import torch

from recipes.common.checkpoint import sharded_tensor

PAGE = mmap.PAGESIZE


@pytest.fixture
def advised(monkeypatch):
    given = []
    monkeypatch.setattr(sharded_tensor, "_madvise", lambda: lambda *call: given.append(call))
    return given


class Somewhere:
    """A tensor at a chosen address; nothing is there."""

    def __init__(self, address, nbytes):
        self.address, self.nbytes = address, nbytes

    def data_ptr(self):
        return self.address


@pytest.mark.parametrize(
    ("address", "nbytes", "start", "first", "end"),
    [
        (100 * PAGE, 2 * PAGE, 0, 96 * PAGE, 102 * PAGE),  # from the address that a fault maps from
        (100 * PAGE + 64, 2 * PAGE, 0, 96 * PAGE, 102 * PAGE),  # a last page shared with what follows stays
        (100 * PAGE + 64, 2 * PAGE, 99 * PAGE + 64, 99 * PAGE, 102 * PAGE),  # but never before the file's first page
        (100 * PAGE + 64, 2 * PAGE, 100 * PAGE + 64, 100 * PAGE, 102 * PAGE),
    ],
)
def test_dropping_stays_between_the_files_first_tensor_and_the_tensors_last_page(
    advised, monkeypatch, address, nbytes, start, first, end
):
    monkeypatch.setattr(sharded_tensor, "FAULT_AROUND", 16 * PAGE)
    sharded_tensor.drop(Somewhere(address, nbytes), start)
    assert advised == [(first, end - first, mmap.MADV_DONTNEED)]


def test_a_tensor_within_the_files_first_page_is_left_there(advised):
    sharded_tensor.drop(Somewhere(100 * PAGE + 64, 128), 100 * PAGE + 64)
    assert advised == []


def test_fetching_covers_all_of_the_tensor(advised):
    sharded_tensor.fetch_soon(Somewhere(100 * PAGE + 64, PAGE))
    assert advised == [(100 * PAGE, PAGE + 64, mmap.MADV_WILLNEED)]


def test_dropped_pages_come_back_from_the_file(tmp_path):
    values = torch.arange(1 << 16, dtype=torch.float32)
    torch.save({"w": values}, tmp_path / "w.pt")
    tensor = torch.load(tmp_path / "w.pt", mmap=True, weights_only=True)["w"]
    before = resident()
    assert torch.equal(tensor, values)
    read = resident()
    sharded_tensor.drop(tensor, tensor.data_ptr())
    assert read - before >= values.nbytes - 2 * PAGE
    assert read - resident() >= values.nbytes - 2 * PAGE
    assert torch.equal(tensor, values)


def resident():
    """Bytes of mapped files in this process's memory (Linux, proc(5))."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssFile"))
