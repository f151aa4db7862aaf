"""Times our conversion of a sharded checkpoint and verl's merger on the same files, and compares their bits.

    python -m benchmarks.bench_convert [--sizes 0.5b,1.5b] [--ranks 1,4,8] [--rounds N] [--scratch DIR]

Both run as processes of their own, in turn, with the checkpoint's pages dropped from the page cache before each. For
1.5b the scratch folder takes 15 GB, which are removed again; it needs the trainers' environment.
"""

import json
import shutil
import statistics
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.support.measure import Usage, alternate, columns, drop_cache, ratio, run
from benchmarks.support.result import Result, Verdict, load, parser, report

OURS, VERL = "recipes.common.convert", "verl.model_merger"
NOTE = """Qwen2 of the named size with random weights, float32, untied, sharded by FSDP2 over so many ranks; what
comes out is bfloat16 of both, and every tensor of every conversion is compared bit for bit. The page cache is empty
before each."""


def command(program: str, role: Path, out: Path) -> list[str]:
    paths = [str(role), str(out)]
    if program == VERL:
        paths = ["merge", "--backend", "fsdp", "--local_dir", str(role), "--target_dir", str(out)]
    return [sys.executable, "-m", program, *paths]


def measure(size: str, ranks: int, rounds: int, scratch: Path) -> tuple[dict[str, list[Usage]], float]:
    """The usage of each program in each round, and the size of the checkpoint in GB. Their outputs are the same."""
    role, outs = scratch / "actor", {program: scratch / program for program in (OURS, VERL)}
    start = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    run([sys.executable, "-m", *start, "-m", "benchmarks.data.checkpoint", str(role), "--size", size])

    def convert(program: str) -> Usage:
        shutil.rmtree(outs[program], ignore_errors=True)
        drop_cache(scratch)
        return run(command(program, role, outs[program]))

    took = alternate({program: lambda program=program: convert(program) for program in outs}, rounds)
    assert_same_bits(*outs.values())
    return took, sum(file.stat().st_size for file in role.glob("model_*.pt")) / 1e9


def tensors(folder: Path) -> dict[str, tuple[Path, int, int, str]]:
    """For each tensor: file, first byte, number of bytes, and type with shape."""
    spans = {}
    for file in folder.glob("*.safetensors"):
        with open(file, "rb") as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            for name, value in json.loads(handle.read(length)).items():
                if name != "__metadata__":
                    start, end = value["data_offsets"]
                    spans[name] = (file, 8 + length + start, end - start, f"{value['dtype']} {value['shape']}")
    return spans


def assert_same_bits(ours_folder: Path, theirs_folder: Path) -> None:
    """Every tensor is the same in both folders, bit for bit."""
    ours, theirs = tensors(ours_folder), tensors(theirs_folder)
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    for name, tensor in ours.items():
        assert tensor[2:] == theirs[name][2:], name
        assert all(a == b for a, b in zip(chunks(*tensor[:3]), chunks(*theirs[name][:3]), strict=True)), name


def chunks(file: Path, start: int, length: int) -> Iterator[bytes]:
    with open(file, "rb") as handle:
        handle.seek(start)
        for done in range(0, length, 1 << 22):
            yield handle.read(min(1 << 22, length - done))


def scaling(walls: dict[tuple[str, int], float], gigabytes: dict[str, float]) -> str:
    """How our time grows with the checkpoint, for each number of ranks, in a sentence; empty for a single size."""
    phrases = []
    ordered = sorted((size, name) for name, size in gigabytes.items())
    (less, small), (more, large) = ordered[0], ordered[-1]
    for ranks in sorted({ranks for _, ranks in walls}) if small != large else ():
        times = walls[large, ranks] / walls[small, ranks]
        speeds = f"{less / walls[small, ranks]:.2f} and {more / walls[large, ranks]:.2f} GB/s"
        phrases.append(f"of {ranks} rank{'s' if ranks > 1 else ''} {times:.1f} times ({speeds})")
    head = f"{large.upper()} is {more / less:.1f} times {small.upper()}, and takes "
    return head + ", ".join(phrases) + " as long." if phrases else ""


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(rounds=2)
    options.add_argument("--sizes", default="0.5b,1.5b")
    options.add_argument("--ranks", default="1,4,8")
    args, before = options.parse_args(), load()
    rows, verdicts, walls, sizes = [], [], {}, {}
    for size in args.sizes.split(","):
        for ranks in map(int, args.ranks.split(",")):
            with tempfile.TemporaryDirectory(dir=args.scratch, prefix="convert-") as scratch:
                took, gigabytes = measure(size, ranks, args.rounds, Path(scratch))
            walls[size, ranks], sizes[size] = statistics.median(usage.wall for usage in took[OURS]), gigabytes
            what = f"{size.upper()}, {ranks} rank{'s' if ranks > 1 else ''}"
            for program, usages in took.items():
                rows.append([f"{what}, {gigabytes:.1f} GB: `{program}`", *columns(usages)])
            share = ratio([usage.wall for usage in took[OURS]], [usage.wall for usage in took[VERL]])
            verdicts.append(Verdict(f"conversion of {what}, as a share of verl's time", share, 0.5))
            verdicts.append(Verdict("its peak memory", max(usage.peak for usage in took[OURS]) / 1e9, 0.6, " GB"))
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    versions = ["torch", "verl", "transformers"]
    notes = [note for note in (scaling(walls, sizes), NOTE) if note]
    report(Result("convert", "Conversion", head, rows, verdicts, notes, versions), before, args.result)


if __name__ == "__main__":
    main()
