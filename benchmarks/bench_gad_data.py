"""The data stage of gad, check and transform, beside `datasets.map` on the same rows, in the trainers' environment.

python -m benchmarks.transform [--rows N] [--rounds N]
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.chats import ROWS
from benchmarks.measure import columns, forget, in_turn, ratio, run
from benchmarks.result import Result, Verdict, load, parser, say

LIMIT = 2048
VAL = 512
NOTE = """The rows are chats of the Chai set's number and size (`benchmarks/chats.py`): invented words, the n-th most
frequent as frequent as 1/n, and 2 % that never come again. Prompts over {limit:,} tokens are shortened by the same
rule. Ours also finds duplicates and prompts that are in both files, and writes the report; both give the same rows,
which is compared. Theirs calls the tokenizer once a row; ours tokenizes each different piece of the texts once
(`recipes/common/data/tokens.py`), in a process for each core, beside the one that reads and writes. The peak is that of
all processes at one time."""


def same_rows(one: Path, other: Path) -> int:
    """The number of rows, all of which are the same in both files; an AssertionError when they are not."""
    from pyarrow.parquet import ParquetFile

    count, names = 0, ["data_source", "prompt", "ability", "reward_model", "extra_info"]
    with ParquetFile(one) as ours, ParquetFile(other) as theirs:
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
    with tempfile.TemporaryDirectory(dir=args.scratch, prefix="transform-") as scratch:
        place = Path(scratch)
        file, model, val, theirs = place / "train.jsonl", place / "model", place / "val.jsonl", place / "theirs.parquet"
        run([sys.executable, "-m", "benchmarks.chats", str(file), str(model), "--rows", str(args.rows)])
        with open(file, "rb") as whole:
            val.write_bytes(b"".join(whole.readline() for _ in range(VAL)))
        settings = {"max_prompt_length": LIMIT, "max_response_length": 1536, "train_batch": 256}
        (place / "settings.json").write_text(
            json.dumps({**settings, "drop_duplicates": False, "sample": None, "seed": 0})
        )
        given = ["--train", str(file), "--val", str(val), "--model", str(model), "--out", str(place / "out")]
        ours = [sys.executable, "-m", "recipes.gad.data", str(place / "settings.json"), *given, "--work", str(place)]
        peer = [
            sys.executable,
            "-m",
            "benchmarks.datasets_map",
            str(file),
            str(model),
            str(theirs),
            "--limit",
            str(LIMIT),
        ]

        def fresh(argv: list[str]):
            forget(place)
            return run(argv, env={"HF_HOME": str(place / "hub"), "HF_HUB_OFFLINE": "1"}, together=True)

        took = in_turn(
            {
                "ours": lambda: fresh(ours),
                "map": lambda: fresh(peer),
                "maps": lambda: fresh([*peer, "--processes", str(cores)]),
            },
            args.rounds,
        )
        count, size = same_rows(place / "out/train.parquet", theirs), file.stat().st_size
    titles = {"ours": "`recipes.gad.data`", "map": "`datasets.map`", "maps": f"`datasets.map`, num_proc={cores}"}
    rows = [[titles[name], *columns(found)] for name, found in took.items()]
    walls = {name: [one.wall for one in found] for name, found in took.items()}
    verdicts = [
        Verdict(
            "chat data, as a multiple of `datasets.map`'s speed",
            ratio(walls["map"], walls["ours"]),
            5,
            " x",
            least=True,
        ),
        Verdict("chat data, peak memory", max(one.peak for one in took["ours"]) / 1e9, 1, " GB"),
    ]
    times = ratio(walls["maps"], walls["ours"])
    more = f"{count:,} rows, {size / 1e6:,.0f} MB. {times:.1f} times as fast as `datasets.map` with {cores} processes."
    head = ["", "wall, s", "CPU, s", "peak, GB"]
    notes = [more, NOTE.format(limit=LIMIT)]
    versions = ["datasets", "transformers", "tokenizers", "pyarrow"]
    say(Result("transform", "Chat data", head, rows, verdicts, notes, versions), before, args.result)


if __name__ == "__main__":
    main()
