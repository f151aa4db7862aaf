"""The prepared sequences: a parquet file a split."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.honest_persona.tokenize import Sequence

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Row:
    """A sequence and what it is about."""

    id: str
    topic: str
    condition: str
    flag: str
    """What the persona ought to say: PASS, FAIL or AMBIGUOUS."""
    tokens: list[int]
    prompt: int
    learnt: int
    persona: int

    @property
    def sequence(self) -> Sequence:
        return Sequence(self.tokens, self.prompt, self.learnt, self.persona)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """The same rows give the same bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = [pa.field(name, pa.string()) for name in ("id", "topic", "condition", "flag")]
    numbers = [pa.field(name, pa.int32()) for name in ("prompt", "learnt", "persona")]
    schema = pa.schema([*texts, pa.field("tokens", pa.list_(pa.int32())), *numbers])
    parquet.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema), path)


def read_rows(path: Path) -> list[Row]:
    """What `write_rows` wrote. A Mistake when there is no such file."""
    from pyarrow import parquet

    if not path.is_file():
        raise Mistake(f"no file `{path}`", "name the folder that the `prepare` stage made")
    return [Row(**row) for row in parquet.read_table(path).to_pylist()]
