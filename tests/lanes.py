"""What each suite of tests consists of: lanes that run beside each other, each a pytest or a command of its own."""

from dataclasses import dataclass

CLI, TRAINERS = ".venv", ".venv-cpu"


@dataclass(frozen=True)
class Lane:
    """Tests that one process runs one after the other."""

    name: str
    about: str
    seconds: int
    """What it takes on two idle cores; the longest are begun first."""
    tests: tuple[str, ...] = ()
    """What pytest is told to run."""
    python: str = CLI
    """The environment it runs in."""
    cores: float = 1.0
    """How much of the machine it needs; one that mostly waits needs less."""
    alone: bool = False
    """Whether nothing else may run meanwhile."""
    commands: tuple[tuple[str, ...], ...] = ()
    """In place of pytest: programs of the environment, all of which have to succeed."""


def without(*paths: str) -> tuple[str, ...]:
    return tuple(f"--ignore={path}" for path in paths)


def but(*tests: str) -> tuple[str, ...]:
    return tuple(f"--deselect={test}" for test in tests)


DOCKER = "tests/launcher/backends/test_docker.py"
SBATCH = "tests/launcher/backends/slurm/test_sbatch.py"
ALLOCATION = "tests/launcher/backends/slurm/test_allocation.py"
CLOUDS, IMAGES, REHEARSALS = (f"tests/integration/{name}" for name in ("clouds", "images", "rehearsal"))
LAUNCHES = (
    f"{DOCKER}::test_a_launch_brings_a_verified_result_home_and_leaves_no_container",
    f"{SBATCH}::test_a_launch_brings_a_verified_result_home_and_a_finished_run_asks_the_cluster_nothing",
    f"{CLOUDS}/test_launch.py::test_a_launch_brings_a_verified_result_home_and_ends_the_machine",
)
"""A whole launch of the toy recipe: in a container, by sbatch, on a rented machine."""
NODE = (
    *(f"tests/launcher/{name}" for name in ("node", "test_cli.py")),
    *(f"tests/launcher/backends/{name}" for name in ("test_lifecycle.py", "sky/test_handshake.py")),
    *("tests/faults", "tests/security"),
)
"""What mostly waits for processes."""
ELSEWHERE = ("tests/recipes", "tests/fuzz", "tests/integration", DOCKER, SBATCH, ALLOCATION, *NODE)
"""Folders and files of tests/ that are not in the lane of the launcher."""
FAMILIES = ("gad", "honest_persona", "profile_dpo", "synthetic_instruct", "token_buncher")
TRAININGS = tuple(f"tests/recipes/{family}/test_training.py" for family in FAMILIES)
REHEARSED = "honest_persona"
"""The family whose rehearsal is the shortest: each change is tried with it."""


def rehearsal(name: str) -> str:
    return f"{REHEARSALS}/test_{name}.py"


OTHERS = tuple(rehearsal(family) for family in FAMILIES if family not in ("gad", REHEARSED))

TEST = (
    Lane("lint", "ruff, formatting, types", 40, commands=(
        ("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))),
    Lane("launcher", "the launcher and its documents", 200, ("tests", *without(*ELSEWHERE))),
    Lane("node", "the node program and launches here: killed, stopped, cut off", 200, (
        *NODE, *without("tests/faults/test_docker.py", "tests/faults/test_slurm.py")), cores=0.7),
    Lane("recipes", "what the stages compute", 200, ("tests/recipes", *without(*TRAININGS)), TRAINERS),
    Lane("rehearsal", f"a recipe whole: {REHEARSED}", 60, (rehearsal(REHEARSED),), TRAINERS),
    Lane("launches", "the toy recipe in Docker, on Slurm, on a rented machine", 120, LAUNCHES, cores=0.5),
)  # fmt: skip

INTEGRATION = (
    Lane("gad", "gad killed, stopped and damaged", 400, (
        REHEARSALS, *without(*OTHERS, rehearsal(REHEARSED), rehearsal("slurm")))),
    Lane("families", "the other families whole", 300, OTHERS, TRAINERS),
    Lane("trainings", "one family's stages, killed and stopped; fuzzed checkpoints", 150,
         (*TRAININGS, "tests/fuzz/recipes"), TRAINERS),
    Lane("vllm", "real vLLM on a CPU: exports, replies, rollouts", 300, ("tests/integration/vllm_cpu",), TRAINERS),
    Lane("images", "images built and run", 300, (IMAGES,)),
    Lane("clouds", "launches on emulated RunPod and Lambda", 500, (CLOUDS, *but(LAUNCHES[2])), cores=0.7),
    Lane("slurm", "launches on a real Slurm", 300, (
        SBATCH, ALLOCATION, "tests/faults/test_slurm.py", rehearsal("slurm"), *but(LAUNCHES[1])), cores=0.7),
    Lane("docker", "launches in containers", 120, (
        DOCKER, "tests/faults/test_docker.py", *but(LAUNCHES[0])), cores=0.7),
    Lane("fuzz", "inputs that nobody would write", 120, ("tests/fuzz", *without("tests/fuzz/recipes"))),
)  # fmt: skip

FAULTS = (
    Lane(
        "runpod", "the fault matrix on emulated RunPod", 5000, (f"{CLOUDS}/test_matrix.py", "-k", "runpod"), cores=0.7
    ),
    Lane(
        "lambda", "the fault matrix on emulated Lambda", 5000, (f"{CLOUDS}/test_matrix.py", "-k", "lambda"), cores=0.7
    ),
    Lane("here", "the fault matrix here, in Docker and on Slurm", 4000, ("tests/faults",), cores=0.7),
)

SUITES = {"faults": FAULTS, "test": TEST, "integration": INTEGRATION, "all": (*TEST, *INTEGRATION)}
