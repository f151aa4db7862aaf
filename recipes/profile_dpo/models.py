"""Puts a model into a folder: the writer or the judge. From the hub or a folder, as recipes.common.model.fetch does.

    python -m recipes.profile_dpo.models SETTINGS.json --kind writer|judge --papers FILE --examples FILE \\
        --out OUT --work WORK

`tiny` is made on the spot, and taught what the files hold. With a judge that is no model of ours nothing is fetched.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from recipes.common.data.hub import Source
from recipes.common.model.fetch import fetch_model, model_numbers
from recipes.common.stage import files
from recipes.common.stage.command import Mistake, run
from recipes.common.stage.inputs import StageInputs, read_stage
from recipes.profile_dpo.authors import read_examples, unit
from recipes.profile_dpo.papers import by_author, read
from recipes.profile_dpo.similarity import Nearest


@dataclass(frozen=True)
class Settings:
    """The stage's JSON, key by key."""

    repo: str
    revision: str | None = None
    lesson_steps: int = 0
    """Of a `tiny` model: how long it is taught."""
    papers: int = 1
    """Abstracts of an author, and examples shown before them, as the stage `setup` has them."""
    examples: int = 1
    judge: str = "local"
    endpoint_model: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    kind: Annotated[str, {"choices": ("writer", "judge")}]
    papers: Path
    examples: Path


def main(argv: list[str] | None = None) -> None:
    """Runs the stage."""
    inputs, settings = read_stage(__doc__, Inputs, Settings, argv)
    if inputs.kind == "judge" and settings.judge != "local":
        metrics: dict[str, Any] = {"repo": settings.endpoint_model or settings.judge, "revision": None}
    elif settings.repo == "tiny":
        metrics = make_tiny(inputs.kind, settings, inputs.papers, inputs.examples, inputs.out)
    else:
        metrics = fetch_model(Source(settings.repo, settings.revision), [], inputs.out, inputs.work)
    files.write_json(inputs.out / "metrics.json", metrics)
    print(f"{inputs.kind}: {metrics['repo']}, {metrics.get('parameters', 0):,} parameters")


def make_tiny(kind: str, settings: Settings, papers: Path, examples: Path, out: Path) -> dict[str, Any]:
    """`out` holds a rehearsal's model of that kind; its parameters, bytes, repository and revision."""
    from recipes.profile_dpo import tiny

    rows = read_examples(examples)
    near = Nearest([" ".join(row["abstracts"]) for row in rows])
    abstracts = by_author(read(papers)[0], settings.papers)
    units = [unit(author, texts, rows, near, settings.examples) for author, texts in abstracts.items()]
    lessons = tiny.writing(units, rows) if kind == "writer" else tiny.judging(units, rows)
    if not lessons:
        raise Mistake("`tiny` has nothing to learn from", "give papers with their abstracts, and examples")
    tiny.save(out, lessons, settings.lesson_steps)
    return model_numbers(settings.repo, None, out)


if __name__ == "__main__":
    run(main)
