"""The question to a cluster about the jobs of a run, and what its answer means: how the run stands, or ended. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.backends.base import End
from launcher.errors import DONE, FAILED, INTERRUPTED, OURS

OVER = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
"""The states of a job that has ended for good; a requeued job is PENDING again."""
CARRIES_ON = "launch again: the run continues"
LIMITS = {
    "QOS": "a limit of its QOS is reached",
    "Assoc": "a limit of your account is reached",
    "MaxMemPerLimit": "it wants more memory than allowed",
}
"""Beginnings of reasons of which Slurm has dozens; their ends say which limit."""


@dataclass(frozen=True)
class Job:
    """A job of a run; `number` is None before it is submitted, `state` is None if the scheduler has forgotten it."""

    name: str
    number: str | None = None
    state: str | None = None
    reason: str = ""
    start: str = ""
    code: int | None = None
    """The exit code that its script left."""
    comment: str = ""
    """What the script wrote beside the code."""
    has_begun: bool = False
    """Whether its script has ever run and reached the run folder."""

    @property
    def active(self) -> bool:
        """Whether the scheduler still has something to do with it."""
        return self.number is not None and self.code is None and self.state is not None and self.state not in OVER


@dataclass(frozen=True)
class Answer:
    """What the cluster answered."""

    jobs: tuple[Job, ...]
    trouble: str = ""
    """Why the scheduler did not answer."""
    finished: bool = False
    """Whether the run's manifest is there."""

    @property
    def goes_on(self) -> bool:
        """Whether the run is not over: a job is active, or may be, or the submission was cut off."""
        known = [job for job in self.jobs if job.number is not None]
        if any(job.active or (self.trouble and job.code is None) for job in known):
            return True
        return 0 < len(known) < len(self.jobs) and all(job.code == 0 for job in known)


def question(names: Sequence[str]) -> str:
    """A shell script that asks about the jobs `names`; its first argument is the run folder."""
    return ASK.format(names=" ".join(shlex.quote(name) for name in names))


def answer(names: Sequence[str], text: str) -> Answer:
    """The answer that the script printed; the last line about a job counts."""
    facts: dict[str, dict[str, str]] = {name: {} for name in names}
    numbers: dict[str, str] = {}
    trouble, finished = "", False
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if kind in ("job", "end", "begun") and name in facts:
            facts[name][kind] = value
            numbers |= {value: name} if kind == "job" else {}
        elif kind == "state" and name in numbers:
            state, reason, start = [*value.split("|"), "", "", ""][:3]
            first = (state.split() or ["UNKNOWN"])[0].rstrip("+")
            facts[numbers[name]] |= {"state": first, "reason": reason, "start": start}
        elif kind == "trouble":
            trouble = rest
        elif kind == "manifest":
            finished = True
    return Answer(tuple(_job(name, own) for name, own in facts.items()), trouble, finished)


def _job(name: str, facts: dict[str, str]) -> Job:
    code, _, comment = facts.get("end", "0" if facts.get("state") == "COMPLETED" else "").partition(" ")
    return Job(
        name,
        facts.get("job") or None,
        facts.get("state"),
        facts.get("reason", ""),
        facts.get("start", ""),
        int(code) if code.isdecimal() and len(code) < 10 else None,
        comment.strip(),
        "begun" in facts,
    )


ASK = """\
cd -- "$1" 2> /dev/null || exit 0
numbers=
for job in {names}; do
    [ -s "slurm/$job.job" ] || continue
    number=$(cat "slurm/$job.job")
    numbers=$numbers,$number
    echo "job $job $number"
done
[ -n "$numbers" ] || exit 0
problem=$(mktemp)
found=$(squeue --noheader --states=all --jobs="${{numbers#,}}" --format='%i %T|%r|%S' 2> "$problem") ||
    grep -q 'Invalid job id' "$problem" || echo "trouble $(tail -n 1 "$problem")"
rm -f -- "$problem"
[ -z "$found" ] || printf '%s\\n' "$found" | sed 's/^/state /'
for number in $(printf %s "${{numbers#,}}" | tr , ' '); do
    grep -q "^$number " <<< "$found" || sacct --noheader --allocations --parsable2 --jobs="$number" \\
        --format=JobID,State 2> /dev/null | sed 's/|/ /; s/^/state /'
done
# after the states: a job that has ended by then has written its code
for job in {names}; do
    [ ! -e "slurm/$job.begun" ] || echo "begun $job"
    [ ! -s "slurm/$job.end" ] || echo "end $job $(cat "slurm/$job.end")"
done
[ ! -e manifest.json ] || echo manifest
"""


REASONS = {
    "Priority": "other jobs go first",
    "Resources": "the nodes it needs are busy",
    "BeginTime": "it begins again soon: Slurm waits two minutes before it restarts a job",
    "Dependency": "the job before it has not ended",
    "DependencyNeverSatisfied": "the job before it failed",
    "JobHeldUser": "you hold it: `scontrol release` lets it start",
    "JobHeldAdmin": "an administrator holds it",
    "ReqNodeNotAvail": "the nodes it needs are down or reserved",
    "NodeDown": "the nodes it needs are down",
    "PartitionDown": "its partition is down",
    "PartitionNodeLimit": "it wants more nodes than its partition allows",
    "PartitionTimeLimit": "it wants more time than its partition allows",
    "Reservation": "its reservation has not begun",
    "Licenses": "it waits for a licence",
    "launch_failed_requeued_held": "its start failed and Slurm holds it: `scontrol release` lets it start",
    "InvalidAccount": "the account may not be used",
    "InvalidQOS": "the QOS may not be used",
    "None": "the scheduler has not looked at it yet",
}


def end(answer: Answer) -> End | None:
    """How the run's jobs ended; None while one of them has something to do."""
    for job in answer.jobs:
        if job.code == DONE:
            continue
        if job.code is not None:
            return _ended(job)
        if job.active or (answer.trouble and job.number):
            return None
        return _gone(job)
    return End(DONE)


def waits_for(answer: Answer) -> str | None:
    """Why no job runs at the moment; None if one does."""
    if answer.trouble:
        return f"the scheduler does not answer: {answer.trouble}"
    for job in answer.jobs:
        if job.code == DONE:
            continue
        if job.state == "PENDING":
            start = f", expected to start at {job.start}" if job.start[:1].isdecimal() else ""
            return f"job {job.number} waits: {explanation(job.reason)}{start}"
        return None if job.state == "RUNNING" else f"job {job.number} is {(job.state or 'unknown').lower()}"
    return None


def explanation(reason: str) -> str:
    """A sentence for Slurm's reason why a job waits, with the reason itself in parentheses."""
    key = reason.partition(",")[0].strip("() ")
    if known := REASONS.get(key):
        return f"{known} ({key})" if key != "None" else known
    for beginning, known in LIMITS.items():
        if key.startswith(beginning):
            return f"{known} ({key})"
    return key or REASONS["None"]


def says_dropped(answer: Answer) -> str | None:
    """A sentence about the jobs that Slurm has dropped because one before them failed; None if there are none."""
    failed = next(
        (job for job in answer.jobs if job.code not in (None, DONE) or job.state in OVER - {"COMPLETED"}), None
    )
    rest = answer.jobs[answer.jobs.index(failed) + 1 :] if failed else ()
    if not failed or not rest:
        return None
    names = ", ".join(f"{job.number} ({stage_of(job.name)})" for job in rest)
    return f"never started: {names}, because job {failed.number} ({stage_of(failed.name)}) did not succeed"


def stage_of(job: str) -> str:
    """The first stage of a job, from the job's name."""
    return job.split(".")[-2].partition("-")[2]


def _ended(job: Job) -> End:
    output = f"read slurm/{job.name}.out in the run folder"
    if job.comment == "fruitless":
        return End(
            FAILED,
            f"job {job.number} was interrupted three times in a row without a new checkpoint",
            "allow a longer `slurm.time`, or save more often",
        )
    if job.comment == "module":
        return End(OURS, f"job {job.number}: a module of site.yaml could not be loaded", output)
    return End(job.code)


def _gone(job: Job) -> End:
    """The end of a job whose script left no exit code."""
    name, output = f"job {job.number}", f"read slurm/{job.name}.out in the run folder"
    if job.number is None:
        return End(INTERRUPTED, f"`{job.name}` was not submitted", CARRIES_ON)
    if job.state is None:
        return End(INTERRUPTED, f"the scheduler has forgotten {name}, and it reported nothing", CARRIES_ON)
    if job.state == "CANCELLED":
        return End(INTERRUPTED, f"{name} was cancelled", CARRIES_ON)
    if job.state in ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL"):
        return End(INTERRUPTED, f"{name} lost its node ({job.state}) and was not requeued", CARRIES_ON)
    if job.state in ("TIMEOUT", "DEADLINE"):
        hint = "allow more seconds with `slurm.ahead`, then launch again: the run continues"
        return End(INTERRUPTED, f"{name} ran into its time limit before it could write a checkpoint", hint)
    if job.state == "OUT_OF_MEMORY":
        return End(FAILED, f"{name} ran out of memory", "ask for more: `slurm.options: {mem: ...}`")
    if job.has_begun:
        return End(INTERRUPTED, f"{name} ended and reported nothing: it was killed, or its disk is full", CARRIES_ON)
    return End(OURS, f"{name} ended as {job.state} before its script began", output)
