"""`recipes/<family>/recipe.yaml` and its `sizes/<size>.yaml`: what is trained, in which order, pinned to what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from launcher.config.yaml import Strict, read
from launcher.errors import LaunchError, check_known

REHEARSAL = "tiny"
"""The size every family has: the whole recipe on a CPU in minutes."""

Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
"""A stage's or an input's: it is a placeholder and a file's name too."""

MOST = 10**12
"""What a recipe counts is less, so that what is computed from it stays a number."""
Count = Annotated[int, Field(ge=0, le=MOST)]

Test = Literal["above", "below", "equals", "at_least"]
"""The words of launcher/node/stage.py."""


class GitPin(Strict):
    """A branch, tag or commit of a git repository; `package` is what a stage imports from its `folder`."""

    git: str
    ref: str
    package: str
    folder: str = "."


class Shape(Strict):
    """A decoder's widths, as its config.json has them: what memory is computed from before the model is here.
    `attention` and `keys` are the widths of all queries and of the keys of one token."""

    layers: Count
    hidden: Count
    intermediate: Count
    vocabulary: Count
    attention: Count
    keys: Count
    tied: bool = False


class HubPin(Strict):
    """A model of the hub, or a folder; `revision` is a branch, tag or commit."""

    repo: str
    """`owner/name`; a folder; or `tiny`, which the recipe makes itself."""
    revision: str = "main"
    parameters: float = Field(default=0, ge=0, le=1e15)
    """Number of weights; disk and memory are computed from it."""
    shape: Shape | None = None


class InputSpec(Strict):
    """A file the user brings, and what stands in for it."""

    about: str
    """What its rows hold."""
    rows: int = Field(default=0, ge=0, le=MOST)
    """Rows to assume in a plan made without the file."""
    default: str | None = None
    """A file of the recipe's own, used when the user brings none (rehearsals)."""
    sample: str | None = None
    """The setting that limits how many rows are used."""
    share: float = Field(default=1.0, ge=0, le=1)
    """The part of that limit which this input gets."""


class Counting(Strict):
    """How a stage's steps follow from its data: epochs x (rows // batch)."""

    rows: str
    """An input."""
    batch: str
    """The setting that has the rows of a step."""
    epochs: float = Field(gt=0, le=MOST)


class MustSpec(Strict):
    """What a stage has to have produced (docs/concepts/stage-contract.md)."""

    files: list[str] = []
    """Glob patterns below `{out}`; each matches a file that is not empty."""
    metrics: dict[str, dict[Test, float]] = {}
    """Conditions on numbers of `{out}/metrics.json`."""


class DiskSpec(Strict):
    """Bytes a weight on disk: `checkpoint` for each checkpoint, `out` once. `kept` names the setting that says how many
    checkpoints stay; the best one and the one being written come on top."""

    model: str
    """A name under `models`."""
    checkpoint: float = Field(default=0, ge=0, le=1000)
    kept: str | None = None
    out: float = Field(default=0, ge=0, le=1000)


class StageSpec(Strict):
    """One command of the recipe."""

    run: list[str] = Field(min_length=1)
    """The command, as a list; placeholders are in the stage contract."""
    each: list[str] = []
    """After the rounds of a list: more words of `run`, for every round, of which `{round}` is the number."""
    needs: Annotated[dict[str, str], BeforeValidator(lambda value: _by_name(value))] = {}
    """Placeholder -> the stage whose output it is; a list when they are called alike."""
    model: str | None = None
    """A name under `models`: its repo and commit become settings of the stage."""
    source: str | None = None
    """A name under `sources`: the stage imports that checkout."""
    uses: list[str] = []
    """The shared settings this stage reads."""
    settings: dict[str, Any] = {}
    """Its own, over the shared ones of the same name."""
    steps: Counting | None = None
    check: str | None = None
    """A kind of settings that the recipe's `settings_check` knows."""
    must: MustSpec = MustSpec()
    disk: DiskSpec | None = None
    grace: int = Field(default=60, ge=1, le=86400)
    """Seconds between SIGTERM and SIGKILL."""


class Rounds(Strict):
    """Neighbours in a list, done K times by `--rounds K`. `later`: what a stage needs -> the stage of the round before
    whose output a later round takes instead."""

    stages: list[str] = Field(min_length=1)
    later: dict[str, str] = {}


class StageList(Strict):
    """An order of stages; `names` lets a stage need `student` without saying which stage makes it."""

    stages: list[str] = Field(min_length=1)
    export: str
    """The stage whose `out` becomes the export."""
    names: dict[str, str] = {}
    rounds: Rounds | None = None


class RecipeFile(Strict):
    name: str
    """The folder's name."""
    about: str
    image: str
    """A folder below images/: the software of all stages."""
    packages: dict[str, str] = {}
    """Distribution -> version, looked at on the machine before the first stage."""
    sources: dict[str, GitPin] = {}
    models: dict[str, HubPin] = {}
    inputs: dict[Name, InputSpec] = {}
    secrets: dict[str, bool] = {}
    """Environment variable -> whether a run cannot do without it."""
    settings: dict[str, Any] = {}
    """What stages share: each reads those that it names under `uses`."""
    check: list[str] | None = None
    """A command that looks at the inputs before anything is paid; placeholders `{input.NAME}`."""
    flash_attention: bool = True
    """Whether its stages use flash-attn, which not every GPU can run."""
    texts: list[str] | None = None
    """A command that renders a sample of the inputs with the model's chat template; placeholders `{input.NAME}`,
    `{config.STAGE}`."""
    settings_check: list[str] | None = None
    """A command that looks at the stages' settings before anything is paid, with nothing installed but PyYAML;
    placeholder `{request}`: a file with a list of `{"stage", "kind", "settings", "cloud"}`."""
    memory: list[str] | None = None
    """A command that says what the stages keep on a GPU (recipes/common/preflight); placeholder `{request}`."""
    outlook: list[str] | None = None
    """A command that prints what a run will do, take and cost, by what earlier runs measured; placeholder
    `{request}`."""
    stages: dict[Name, StageSpec]
    lists: dict[str, StageList]


class StageChange(Strict):
    """What a size changes in a stage."""

    epochs: float | None = Field(default=None, gt=0, le=MOST)
    settings: dict[str, Any] = {}


class SizeFile(Strict):
    about: str
    models: dict[str, HubPin] = {}
    """In the place of the recipe's of the same name; as are `inputs` and `settings`."""
    inputs: dict[str, InputSpec] = {}
    secrets: dict[str, bool] = {}
    """Over the recipe's: a gated model needs a key that others do not."""
    settings: dict[str, Any] = {}
    stages: dict[str, StageChange] = {}


@dataclass(frozen=True)
class Recipe:
    """A family in one size, as its files say it."""

    family: str
    size: str
    folder: Path
    file: RecipeFile
    change: SizeFile

    @property
    def name(self) -> str:
        return f"{self.family}-{self.size}"


def read_recipe(name: str, root: Path) -> Recipe:
    """The recipe `<family>-<size>` below `root`/recipes. Raises LaunchError."""
    check_known(name, names(root), f"there is no recipe `{name}` under `{root / 'recipes'}`")
    family = max((known for known in families(root) if name.startswith(f"{known}-")), key=len)
    size, folder = name[len(family) + 1 :], root / "recipes" / family
    file = read(folder / "recipe.yaml", RecipeFile)
    if file.name != family:
        raise LaunchError(f"`{folder / 'recipe.yaml'}`: `name` is `{file.name}`", f"the folder is called `{family}`")
    return Recipe(family, size, folder, file, read(folder / "sizes" / f"{size}.yaml", SizeFile))


def _by_name(value: Any) -> Any:
    """A list of names as each by its own; anything else as it is."""
    return (
        {name: name for name in value}
        if isinstance(value, list) and all(isinstance(name, str) for name in value)
        else value
    )


def families(root: Path) -> list[str]:
    """The folders below `root`/recipes that hold a recipe."""
    return sorted(path.parent.name for path in (root / "recipes").glob("*/recipe.yaml"))


def names(root: Path) -> list[str]:
    """Every `<family>-<size>`."""
    return [
        f"{family}-{path.stem}"
        for family in families(root)
        for path in sorted((root / "recipes" / family / "sizes").glob("*.yaml"))
    ]
