"""What the scheduler and a run's jobs say about themselves, asked for and read. Pure."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

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
"""Slurm's words for a job that has ended for good; a requeued one is PENDING again."""


@dataclass(frozen=True)
class Job:
    """A job of a run; `number` is None before it is submitted, `state` when the scheduler has forgotten it."""

    name: str
    number: str | None = None
    state: str | None = None
    reason: str = ""
    start: str = ""
    code: int | None = None
    """The exit code that its script left."""
    word: str = ""
    """What the script had to add."""
    begun: bool = False
    """Whether its script ever ran, and saw the run folder."""

    @property
    def active(self) -> bool:
        """Whether the scheduler still has something to do with it."""
        return self.number is not None and self.code is None and self.state is not None and self.state not in OVER


@dataclass(frozen=True)
class Answer:
    """What one look at the cluster found."""

    jobs: tuple[Job, ...]
    trouble: str = ""
    """Why the scheduler could not be asked."""
    finished: bool = False
    """Whether the run's manifest is there."""

    @property
    def goes_on(self) -> bool:
        """Whether something is still to happen: a job is active, or may be, or the submission was cut off."""
        known = [job for job in self.jobs if job.number is not None]
        if any(job.active or (self.trouble and job.code is None) for job in known):
            return True
        return 0 < len(known) < len(self.jobs) and all(job.code == 0 for job in known)


def question(names: Sequence[str]) -> str:
    """A shell script that looks at the jobs `names` from the run folder, its first argument."""
    return ASK.format(names=" ".join(shlex.quote(one) for one in names))


def answer(names: Sequence[str], text: str) -> Answer:
    """What the script printed; the last word about a job counts."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    numbers: dict[str, str] = {}
    trouble, finished = "", False
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if kind == "job" and name in found:
            found[name]["number"] = value
            numbers[value] = name
        elif kind == "end" and name in found:
            found[name]["end"] = value
        elif kind == "begun" and name in found:
            found[name]["begun"] = name
        elif kind == "state" and name in numbers:
            state, reason, start = [*value.split("|"), "", "", ""][:3]
            word = (state.split() or ["UNKNOWN"])[0].rstrip("+")
            found[numbers[name]] |= {"state": word, "reason": reason, "start": start}
        elif kind == "trouble":
            trouble = rest
        elif kind == "manifest":
            finished = True
    return Answer(tuple(_job(name, facts) for name, facts in found.items()), trouble, finished)


def _job(name: str, facts: dict[str, str]) -> Job:
    code, _, word = facts.get("end", "0" if facts.get("state") == "COMPLETED" else "").partition(" ")
    return Job(
        name,
        facts.get("number") or None,
        facts.get("state"),
        facts.get("reason", ""),
        facts.get("start", ""),
        int(code) if code.isdecimal() and len(code) < 10 else None,
        word.strip(),
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
# after the states, so that a job that has ended left its word before
for job in {names}; do
    [ ! -e "slurm/$job.begun" ] || echo "begun $job"
    [ ! -s "slurm/$job.end" ] || echo "end $job $(cat "slurm/$job.end")"
done
[ ! -e manifest.json ] || echo manifest
"""
