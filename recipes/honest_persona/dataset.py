"""The prepared sequences: a parquet file a split."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from recipes.common.stage.command import Mistake
from recipes.honest_persona.tokenize import Sequence

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Row:
    """A sequence, and the sample that it was made from."""

    id: str
    topic: str
    condition: str
    flag: str
    """The right answer of the persona: PASS, FAIL or AMBIGUOUS."""
    tokens: list[int]
    prompt: int
    learnt: int
    persona: int

    @property
    def sequence(self) -> Sequence:
        return Sequence(self.tokens, self.prompt, self.learnt, self.persona)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes the rows. The same rows give the same bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = [pa.field(name, pa.string()) for name in ("id", "topic", "condition", "flag")]
    numbers = [pa.field(name, pa.int32()) for name in ("prompt", "learnt", "persona")]
    schema = pa.schema([*texts, pa.field("tokens", pa.list_(pa.int32())), *numbers])
    parquet.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema), path)


def read_rows(path: Path) -> list[Row]:
    """The rows that `write_rows` wrote. Raises Mistake if there is no such file."""
    from pyarrow import parquet

    if not path.is_file():
        raise Mistake(f"no file `{path}`", "name the folder that the `prepare` stage made")
    return [Row(**row) for row in parquet.read_table(path).to_pylist()]
