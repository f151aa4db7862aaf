"""Times our conversion of a sharded checkpoint and verl's merger on the same files, and compares their bits.

    python -m benchmarks.convert [--size 1.5b] [--ranks 4] [--rounds 1] [--scratch DIR]

Both run as processes of their own, in turn, with the checkpoint's pages dropped from the page cache before each. For
1.5b the scratch folder takes 15 GB; it is removed at the end.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

OURS, VERL = "recipes.common.convert", "verl.model_merger"


@dataclass(frozen=True)
class Run:
    """What one process took. `peak` is in bytes."""

    wall: float
    cpu: float
    peak: int

    def __str__(self) -> str:
        return f"{self.wall:.1f} s | {self.cpu:.1f} s | {self.peak / 1e9:.2f} GB"


def command(program: str, role: Path, out: Path) -> list[str]:
    paths = [str(role), str(out)]
    if program == VERL:
        paths = ["merge", "--backend", "fsdp", "--local_dir", str(role), "--target_dir", str(out)]
    return [sys.executable, "-m", program, *paths]


def measure(argv: list[str]) -> Run:
    """The process's own peak, as long as this one stays small: a child's maximum begins with its parent's."""
    began = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    complaint = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(argv)} failed:\n{complaint.decode()}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def forget(folder: Path) -> None:
    """The files are on disk and not in the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def tensors(folder: Path) -> dict[str, tuple[Path, int, int, str]]:
    """File, first byte, number of bytes, and type with shape of every tensor in the folder's safetensors."""
    found = {}
    for file in folder.glob("*.safetensors"):
        with open(file, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            for name, value in json.loads(handle.read(length)).items():
                if name != "__metadata__":
                    start, end = value["data_offsets"]
                    found[name] = (file, 8 + length + start, end - start, f"{value['dtype']} {value['shape']}")
    return found


def same_bits(one: Path, other: Path) -> int:
    """The number of tensors, all of which are the same in both folders; an AssertionError when they are not."""
    ours, theirs = tensors(one), tensors(other)
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for name, tensor in ours.items():
        assert tensor[2:] == theirs[name][2:], name
        assert all(a == b for a, b in zip(chunks(*tensor[:3]), chunks(*theirs[name][:3]), strict=True)), name
    return len(ours)


def chunks(file: Path, start: int, length: int) -> Iterator[bytes]:
    with open(file, "rb") as handle:
        handle.seek(start)
        for done in range(0, length, 1 << 22):
            yield handle.read(min(1 << 22, length - done))


def table(runs: dict[str, list[Run]]) -> str:
    """Each run, and our median as a share of verl's."""
    lines = ["| | wall | user + system | peak memory |", "|---|---|---|---|"]
    lines += [f"| {program} | {run} |" for program, measured in runs.items() for run in measured]
    share = [
        median(getattr(run, what) for run in runs[OURS]) / median(getattr(run, what) for run in runs[VERL])
        for what in ("wall", "cpu", "peak")
    ]
    return "\n".join([*lines, "| ours / verl's | " + " | ".join(f"{part:.2f}" for part in share) + " |"])


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{os.cpu_count()} cores, {memory / 1e9:.0f} GB of memory, load {os.getloadavg()[0]:.1f} at the start"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["0.5b", "1.5b", "3b"], default="1.5b")
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--scratch", type=Path, help="where the folder for this run is made and removed")
    args = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="convert-") as scratch:
        role, outs = Path(scratch) / "actor", {program: Path(scratch) / program for program in (OURS, VERL)}
        ranks = ["torch.distributed.run", "--standalone", f"--nproc-per-node={args.ranks}"]
        measure([sys.executable, "-m", *ranks, "-m", "benchmarks.synthetic_checkpoint", str(role), "--size", args.size])
        runs: dict[str, list[Run]] = {OURS: [], VERL: []}
        for _ in range(args.rounds):
            for program, out in outs.items():
                shutil.rmtree(out, ignore_errors=True)
                forget(Path(scratch))
                runs[program].append(measure(command(program, role, out)))
        count = same_bits(*outs.values())
        size = sum(file.stat().st_size for file in role.glob("model_*.pt"))
    print(f"Qwen2 {args.size}, {args.ranks} ranks, float32, {size / 1e9:.2f} GB; {where}\n\n{table(runs)}\n")
    print(f"all {count} tensors are the same, bit for bit")


if __name__ == "__main__":
    main()
