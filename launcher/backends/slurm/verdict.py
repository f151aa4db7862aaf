"""How a run on Slurm stands, or ended, in words. Pure."""

from launcher.backends.base import End
from launcher.backends.slurm.queue import OVER, Answer, Job
from launcher.errors import DONE, FAILED, INTERRUPTED, OURS

CARRIES_ON = "launch again: it carries on"
REASONS = {
    "Priority": "other jobs go first",
    "Resources": "the nodes it needs are busy",
    "BeginTime": "it begins again soon: Slurm waits two minutes before it restarts a job",
    "Dependency": "the job before it has not ended",
    "DependencyNeverSatisfied": "the job before it failed",
    "JobHeldUser": "it is held: `scontrol release` lets it go",
    "JobHeldAdmin": "an administrator holds it",
    "ReqNodeNotAvail": "the nodes it needs are down or reserved",
    "NodeDown": "the nodes it needs are down",
    "PartitionDown": "its partition is down",
    "PartitionNodeLimit": "it wants more nodes than its partition allows",
    "PartitionTimeLimit": "it wants more time than its partition allows",
    "Reservation": "its reservation has not begun",
    "Licenses": "it waits for a licence",
    "launch_failed_requeued_held": "its start failed and it is held: `scontrol release` lets it go",
    "InvalidAccount": "the account may not be used",
    "InvalidQOS": "the QOS may not be used",
    "None": "the scheduler has not looked at it yet",
}
LIMITS = {
    "QOS": "a limit of its QOS is reached",
    "Assoc": "a limit of your account is reached",
    "MaxMemPerLimit": "it wants more memory than allowed",
}
"""How the reasons begin of which Slurm has dozens; what they end with says which limit."""


def end(found: Answer) -> End | None:
    """How the run's jobs ended; None while one of them is still to do something."""
    for job in found.jobs:
        if job.code == DONE:
            continue
        if job.code is not None:
            return _ended(job)
        if job.active or (found.trouble and job.number):
            return None
        return _gone(job)
    return End(DONE)


def says(found: Answer) -> str | None:
    """Why nothing runs at the moment, in words; None when something does."""
    if found.trouble:
        return f"the scheduler does not answer: {found.trouble}"
    for job in found.jobs:
        if job.code == DONE:
            continue
        if job.state == "PENDING":
            start = f", expected to start at {job.start}" if job.start[:1].isdecimal() else ""
            return f"job {job.number} waits: {in_words(job.reason)}{start}"
        return None if job.state == "RUNNING" else f"job {job.number} is {(job.state or 'unknown').lower()}"
    return None


def in_words(reason: str) -> str:
    """Slurm's reason for a waiting job, as a sentence with Slurm's own word."""
    key = reason.partition(",")[0].strip("() ")
    if known := REASONS.get(key):
        return f"{known} ({key})" if key != "None" else known
    for beginning, known in LIMITS.items():
        if key.startswith(beginning):
            return f"{known} ({key})"
    return key or REASONS["None"]


def never_started(found: Answer) -> str | None:
    """A sentence about the jobs that Slurm dropped because one before them failed; None when there are none."""
    failed = next(
        (job for job in found.jobs if job.code not in (None, DONE) or job.state in OVER - {"COMPLETED"}), None
    )
    rest = found.jobs[found.jobs.index(failed) + 1 :] if failed else ()
    if not failed or not rest:
        return None
    names = ", ".join(f"{job.number} ({stage_of(job.name)})" for job in rest)
    return f"never started: {names}, because job {failed.number} ({stage_of(failed.name)}) did not succeed"


def stage_of(job: str) -> str:
    """The first stage of a job, from the job's name."""
    return job.split(".")[-2].partition("-")[2]


def _ended(job: Job) -> End:
    output = f"read slurm/{job.name}.out in the run folder"
    if job.word == "fruitless":
        return End(
            FAILED,
            f"job {job.number} was interrupted three times in a row without a new checkpoint",
            "allow a longer `slurm.time`, or save more often",
        )
    if job.word == "module":
        return End(OURS, f"job {job.number}: a module of site.yaml could not be loaded", output)
    return End(job.code)


def _gone(job: Job) -> End:
    """The end of a job whose script left no exit code."""
    name, output = f"job {job.number}", f"read slurm/{job.name}.out in the run folder"
    if job.number is None:
        return End(INTERRUPTED, f"`{job.name}` was not submitted", CARRIES_ON)
    if job.state is None:
        return End(INTERRUPTED, f"the scheduler has forgotten {name}, which left no word", CARRIES_ON)
    if job.state == "CANCELLED":
        return End(INTERRUPTED, f"{name} was cancelled", CARRIES_ON)
    if job.state in ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL"):
        return End(INTERRUPTED, f"{name} lost its node ({job.state}) and was not requeued", CARRIES_ON)
    if job.state in ("TIMEOUT", "DEADLINE"):
        hint = "allow more seconds with `slurm.ahead`, then launch again: it carries on"
        return End(INTERRUPTED, f"{name} ran into its time limit before it could write a checkpoint", hint)
    if job.state == "OUT_OF_MEMORY":
        return End(FAILED, f"{name} ran out of memory", "ask for more: `slurm.options: {mem: ...}`")
    if job.begun:
        return End(INTERRUPTED, f"{name} ended without a word: it was killed, or its disk is full", CARRIES_ON)
    return End(OURS, f"{name} ended as {job.state} before its script began", output)
