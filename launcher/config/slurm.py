"""What site.yaml says about a Slurm cluster: how it is reached, what jobs ask it for, with which software they run."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from launcher.config.yaml import Strict

OURS = set(
    "array chdir dependency error export-file get-user-env help hold job-name kill-on-invalid-dep no-requeue open-mode "  # noqa: SIM905
    "output parsable quiet requeue signal test-only usage version wait wait-all-nodes wrap".split()
)
"""sbatch's options that the script decides itself, or that would keep it from being a job."""
SKYS = {"gpus", "gpus-per-node", "mem-per-cpu", "mem-per-gpu", "nodes", "ntasks", "ntasks-per-node", "wait-all-nodes"}
"""sbatch's options that SkyPilot writes, or that contradict those it writes (sky/provision/slurm/instance.py)."""
PYXIS, APPTAINER = "pyxis", "apptainer"
TIME = re.compile(r"(?:(?P<days>\d{1,9})-)?(?P<first>\d{1,9})(?::(?P<second>\d{1,9}))?(?::(?P<third>\d{1,9}))?")


def _line(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("it has to be one line of text")
    return text


def _time(value: Any) -> Any:
    if isinstance(value, int):  # YAML 1.1 reads 2:00:00 as the number 7200
        raise ValueError('quote it: "2:00:00" is two hours, "90" is 90 minutes, "2-00:00:00" two days')
    if isinstance(value, str):
        seconds(value)
    return value


def seconds(time: str) -> int:
    """The length of one of Slurm's times: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`. Raises ValueError."""
    match = TIME.fullmatch(time)
    if not match:
        raise ValueError(
            'it is not a time of Slurm\'s: "2:00:00" is two hours, "90" is 90 minutes, "2-00:00:00" two days'
        )
    parts = [int(part) for part in (match["first"], match["second"], match["third"]) if part is not None]
    if match["days"] is not None:
        hours, minutes, rest = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, rest = parts
    else:
        hours, minutes, rest = 0, parts[0], (parts[1] if len(parts) == 2 else 0)
    return ((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + rest


def gigabytes(memory: str) -> float:
    """The GiB of one of Slurm's sizes, megabytes without a letter. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,12})([KMGT]?)", memory)
    if not match:
        raise ValueError("it is not a size: write it as `100G`")
    return round(int(match[1]) * {"K": 2**-20, "M": 2**-10, "": 2**-10, "G": 1, "T": 2**10}[match[2]], 3)


def _option(name: str) -> str:
    if name in OURS:
        raise ValueError(f"the launcher decides `--{name}` itself")
    return name


Line = Annotated[str, AfterValidator(_line)]
Option = Annotated[str, Field(pattern="^[a-z][a-z0-9-]*$"), AfterValidator(_option)]
Time = Annotated[str, BeforeValidator(_time)]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class Needs(Strict):
    """What a job asks the cluster for. A value of null asks for nothing where a stage's table gives it."""

    partition: Line | None = None
    account: Line | None = None
    qos: Line | None = None
    gres: Line | None = None
    """As `gpu:h100:4`; what the job file wants, without a type, unless said otherwise."""
    time: Time | None = None
    """The longest that a job may take; a run that takes longer is continued by the same job again."""
    constraint: Line | None = None
    """Features that a node has to have, in Slurm's words."""
    options: dict[Option, Line | int | bool] = {}
    """Other long options of sbatch: {mem: 100G, cpus-per-task: 24, exclusive: true}."""
    modules: tuple[Line, ...] = ()
    """What `module load` is given before the program starts."""


class SlurmSite(Needs):
    """A Slurm cluster."""

    via: Literal["sbatch", "sky"] = "sbatch"
    software: Literal["environment", "pyxis", "apptainer"] = "environment"
    """What the stages run in: an environment of the locked packages, or the recipe's image from `registry`, which
    Pyxis or Apptainer start."""
    host: Annotated[Line, Field(pattern="^[^-]")] | None = None
    """The login node, as ssh knows it; null where the launcher runs on the login node itself."""
    ssh_config: Path | None = None
    """A file of ssh's to use instead of your own."""
    work: Annotated[str, Field(pattern="^[^-\0]+[^\0]*$")] | None = None
    """The folder for run folders on storage that login and compute nodes share, relative to your home there."""
    python: str | None = None
    """A Python on the cluster with the recipe's packages. Where it is null, an environment of the locked packages is
    made beside the runs, once, by the login node."""
    interpreter: str = "python3"
    """The Python, 3.10 or newer, that such an environment is made from."""
    torch_index: Line | None = None
    """The package index that has torch for CPUs, for recipes that want no GPU."""
    environment: dict[Variable, str] = {}
    """Variables for every stage: {HF_HOME: /work/hf, WANDB_MODE: offline}."""
    login: tuple[str, ...] = ()
    """Stages that the login node carries out before anything is submitted: those that fetch what they need."""
    offline: bool = False
    """Whether compute nodes reach no network: in jobs, libraries are told to ask nobody."""
    stall_minutes: float = Field(default=60, gt=0)
    """A run is stopped after so long without a step, a checkpoint or a new stage."""
    every: float = Field(default=30, ge=1)
    """Seconds between two questions to the scheduler. Clusters ask for 30 or more."""
    ahead: int | None = Field(default=None, ge=1, le=65535)
    """Seconds before the time limit at which a run is asked to checkpoint; half a minute beyond the stages' grace
    unless said otherwise."""
    stages: dict[str, Needs] = {}
    """What differs for a stage of this name."""

    @model_validator(mode="after")
    def _placed(self) -> "SlurmSite":
        if self.host and not self.work:
            raise ValueError("with a `host`, name the folder for runs there: `work`")
        if self.work and not self.host:
            raise ValueError(
                "`work` is a folder behind a `host`; on the login node itself it is `store` that says where"
            )
        if self.via == "sky" and not self.host:
            raise ValueError("`via: sky` reaches a cluster by ssh: name its login node as `host`")
        if self.via == "sky" and (taken := sorted(SKYS & set(self.options))):
            raise ValueError(f"`via: sky` decides `--{taken[0]}` itself: say `mem` and `cpus-per-task`, for each node")
        if self.via == "sky" and self.stages:
            raise ValueError("an allocation that SkyPilot holds is one for all stages: leave out `stages`")
        if self.login and self.software == "pyxis":
            raise ValueError("the login node starts no Pyxis container: leave out `login`, or use `apptainer`")
        if self.python and self.software != "environment":
            raise ValueError(f"`python` is for `software: environment`, not for `{self.software}`")
        return self

    @property
    def folder(self) -> str:
        """`work` as a shell in the home folder there understands it."""
        return (self.work or "").removeprefix("~/").rstrip("/") or "/"

    @property
    def workspace(self) -> str | None:
        """The name of the workspace that `work` lies in, as `ws:NAME/FOLDER`; None if it lies in none."""
        return self.work[3:].partition("/")[0] if self.work and self.work.startswith("ws:") else None

    def needs(self, stage: str) -> Needs:
        """What a stage asks for: the cluster's words, with the stage's own in their place."""
        own = self.stages.get(stage, Needs())
        common = {name: getattr(self, name) for name in Needs.model_fields}
        changed = {name: getattr(own, name) for name in own.model_fields_set}
        changed |= {"options": {**self.options, **own.options}}
        return Needs(**{**common, **changed})
