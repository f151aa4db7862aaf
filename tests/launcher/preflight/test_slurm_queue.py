"""What sbatch --test-only says of a plan's jobs."""

from launcher.preflight.finding import OK, REFUSED, WARNING, Finding
from launcher.preflight.slurm import finding

FITS = "sbatch: Job 4 to start at 2026-11-21T17:11:35 using 1 processors on nodes node[1-2] in partition cpu"


def test_a_run_that_fits_says_when_it_could_start_and_how_many_wait():
    assert finding(["1-sum", "2-again"], f"{FITS}\n3\n{FITS}\n0\n") == Finding(
        "queue",
        OK,
        "1-sum: could start at 2026-11-21T17:11:35 on node[1-2]; jobs waiting there: 3",
        details=("2-again: could start at 2026-11-21T17:11:35 on node[1-2]",),
    )


def test_what_sbatch_refuses_is_refused_in_its_words():
    said = f"{FITS}\n0\nallocation failure: Requested node configuration is not available\n0\n"
    assert finding(["1-sum", "2-again"], said) == Finding(
        "queue",
        REFUSED,
        "`2-again`: Requested node configuration is not available",
        "correct `slurm:` in site.yaml",
    )


def test_a_login_node_that_says_nothing_is_a_warning():
    assert finding(["1-sum"], "") == Finding(
        "queue", WARNING, "the login node has no sbatch that answers", "log in and try `sbatch --version`"
    )
