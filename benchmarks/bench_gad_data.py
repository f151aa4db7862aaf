"""The data stage of gad, check and transform, beside `datasets.map` on the same rows, in the trainers' environment.

python -m benchmarks.bench_gad_data [--rows N] [--rounds N]
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.data.chats import ROWS
from benchmarks.support.measure import alternate, columns, drop_cache, ratio, run
from benchmarks.support.result import Result, Verdict, load, parser, report

LIMIT = 2048
VAL = 512
NOTE = """The rows are chats of the Chai set's number and size (`benchmarks/data/chats.py`): invented words, the n-th
most frequent as frequent as 1/n, and 2 % that never come again. Prompts over {limit:,} tokens are shortened by the same
rule. Ours also finds duplicates and prompts that are in both files, and writes the report; both give the same rows,
which is compared. Theirs calls the tokenizer once a row; ours tokenizes each different piece of the texts once
(`recipes/common/data/tokens.py`), in a process for each core, beside the one that reads and writes. The peak is that of
all processes at one time."""


def count_same_rows(ours_path: Path, theirs_path: Path) -> int:
    """The number of rows in each file. Raises AssertionError if a row differs."""
    from pyarrow.parquet import ParquetFile

    count, names = 0, ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    with ParquetFile(ours_path) as ours, ParquetFile(theirs_path) as theirs:
        assert ours.metadata.num_rows == theirs.metadata.num_rows
        batches = (file.iter_batches(1000, columns=names) for file in (ours, theirs))
        for mine, yours in zip(*map(_rows, batches), strict=True):
            assert mine == yours, count
            count += 1
    return count


def _rows(batches):
    return (row for batch in batches for row in batch.to_pylist())


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(rounds=1)
    options.add_argument("--rows", type=int, default=ROWS)
    args, before = options.parse_args(), load()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="gad-data-") as scratch:
        folder = Path(scratch)
        file, val = folder / "train.jsonl", folder / "val.jsonl"
        model, theirs = folder / "model", folder / "theirs.parquet"
        run([sys.executable, "-m", "benchmarks.data.chats", str(file), str(model), "--rows", str(args.rows)])
        with open(file, "rb") as whole:
            val.write_bytes(b"".join(whole.readline() for _ in range(VAL)))
        settings = {"max_prompt_length": LIMIT, "max_response_length": 1536, "train_batch": 256}
        (folder / "settings.json").write_text(
            json.dumps({**settings, "drop_duplicates": False, "sample": None, "seed": 0})
        )
        stage_options = ["--train", str(file), "--val", str(val), "--model", str(model), "--out", str(folder / "out")]
        ours = [
            sys.executable,
            "-m",
            "recipes.gad.data",
            str(folder / "settings.json"),
            *stage_options,
            "--work",
            str(folder),
        ]
        peer = [
            sys.executable,
            "-m",
            "benchmarks.peers.datasets_map",
            str(file),
            str(model),
            str(theirs),
            "--limit",
            str(LIMIT),
        ]

        def run_with_empty_cache(argv: list[str]):
            drop_cache(folder)
            return run(argv, env={"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}, together=True)

        took = alternate(
            {
                "ours": lambda: run_with_empty_cache(ours),
                "map": lambda: run_with_empty_cache(peer),
                "maps": lambda: run_with_empty_cache([*peer, "--processes", str(cores)]),
            },
            args.rounds,
        )
        count, size = count_same_rows(folder / "out/train.parquet", theirs), file.stat().st_size
    titles = {"ours": "`recipes.gad.data`", "map": "`datasets.map`", "maps": f"`datasets.map`, num_proc={cores}"}
    rows = [[titles[name], *columns(usages)] for name, usages in took.items()]
    walls = {name: [usage.wall for usage in usages] for name, usages in took.items()}
    verdicts = [
        Verdict(
            "chat data, as a multiple of `datasets.map`'s speed",
            ratio(walls["map"], walls["ours"]),
            5,
            " x",
            least=True,
        ),
        Verdict("chat data, peak memory", max(usage.peak for usage in took["ours"]) / 1e9, 1, " GB"),
    ]
    times = ratio(walls["maps"], walls["ours"])
    more = f"{count:,} rows, {size / 1e6:,.0f} MB. {times:.1f} times as fast as `datasets.map` with {cores} processes."
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    notes = [more, NOTE.format(limit=LIMIT)]
    versions = ["datasets", "transformers", "tokenizers", "pyarrow"]
    report(Result("gad_data", "Chat data", head, rows, verdicts, notes, versions), before, args.result)


if __name__ == "__main__":
    main()
