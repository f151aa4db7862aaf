"""What sbatch --test-only says of a plan's jobs."""

from launcher.backends.slurm.login import Login
from launcher.config.slurm import SlurmSite
from launcher.errors import LaunchError
from launcher.preflight import slurm
from launcher.preflight.finding import OK, REFUSED, UNKNOWN, WARNING, Finding
from launcher.preflight.slurm import finding
from launcher.runfolder.plan import Code, Machine, Plan, Stage

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


def test_of_a_cluster_that_does_not_answer_nobody_knows(monkeypatch):
    def silent(self, script, *arguments, timeout=120):
        raise LaunchError("`uc3` did not answer for 60 s", "try again")

    monkeypatch.setattr(Login, "run", silent)
    site = SlurmSite(host="uc3", work="ws:launcher/runs")
    plan = Plan("run", "some-7b", (Stage("sum", ("python",)),), "sum", Code("0"), Machine("slurm"))
    assert slurm.queue(plan, site) == Finding("queue", UNKNOWN, "`uc3` did not answer for 60 s", "try again")
    assert slurm.workspace(site) == Finding("workspace", UNKNOWN, "`uc3` did not answer for 60 s", "try again")


def test_a_login_node_that_says_nothing_is_a_warning():
    assert finding(["1-sum"], "") == Finding(
        "queue", WARNING, "the login node has no sbatch that answers", "log in and try `sbatch --version`"
    )
