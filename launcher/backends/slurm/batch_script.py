"""The scripts of a run on Slurm: one for each job, readable and to be submitted by hand too, and one that submits them
all. Pure."""

from collections.abc import Sequence

from launcher.backends.slurm.groups import Group, options
from launcher.backends.slurm.node_start import preparation, program
from launcher.clouds.budget import RESERVE
from launcher.config.slurm import SlurmSite
from launcher.runfolder.plan import Plan

FRUITLESS = 3
"""A job is not requeued after so many attempts in a row without a new checkpoint."""


def script(plan: Plan, group: Group, site: SlurmSite, job: str) -> str:
    """The batch script of a group. It is submitted in the run folder, and lies below `slurm/`."""
    last = plan.stages[-1].name in group.stages
    return "\n".join(
        [
            "#!/bin/bash",
            *options(plan, group, site, job),
            "",
            f"# {plan.recipe}: {', '.join(group.stages)}. By hand, in the run folder: sbatch slurm/{job}.sh",
            START.format(job=job, last="yes" if last else ""),
            *preparation(plan, group.needs, site),
            _limits(plan, group, site),
            program(plan, group.stages),
            END.format(fruitless=FRUITLESS),
        ]
    )


def allocation_script(plan: Plan, site: SlurmSite) -> str:
    """The script that SkyPilot's job runs in its allocation: all stages. It lies below `slurm/`."""
    end = ALLOCATION_END.format(program=program(plan))
    return "\n".join([ALLOCATION.format(recipe=plan.recipe), *preparation(plan, site, site), end])


def submission(jobs: Sequence[str]) -> str:
    """A script that submits the jobs that are not submitted yet, each after the one before it. It can be run again,
    also after it was cut off. It lies below `slurm/` and prints a line for each job."""
    lines = []
    for first, job in zip([None, *jobs], jobs, strict=False):
        lines.append(f"submit {job} {first}" if first else f"submit {job}")
    return SUBMIT.format(lines="\n".join(lines))


def _limits(plan: Plan, group: Group, site: SlurmSite) -> str:
    """limits.json as launcher.clouds.budget has it, written when the job begins: hours in the queue are not counted."""
    seconds = int(plan.budget.max_hours * 3600) if plan.budget.max_hours else ""
    stall = int(site.stall_minutes * 60)
    return LIMITS.format(allowed=seconds, reserve=int(RESERVE) + group.grace, stall=stall)


START = """\
set -u
job=slurm/{job}
if ! cd -- "$SLURM_SUBMIT_DIR" || [ ! -f plan.json ]; then
    echo "error: $(hostname) does not see the run folder: it has to lie on storage that all nodes share" >&2
    exit 1
fi
run=$PWD
last={last}
end() {{
    [ "$1$last" = 0 ] || rm -f -- slurm/secrets.sh
    printf '%s %s\\n' "$1" "${{2-}}" > "$job.part" && mv -- "$job.part" "$job.end"
    exit "$1"
}}
saved() {{ grep -c -e '"event": "stage.checkpoint"' -e '"event": "stage.finished"' events.jsonl 2> /dev/null; }}
rm -f -- "$job.end"
echo "$SLURM_JOB_ID" > "$job.job"
touch "$job.begun"
before=$(saved)
node=
asked=
trap 'asked=1; [ -z "$node" ] || ask' TERM
"""

ALLOCATION = """\
#!/bin/bash
# {recipe}: all its stages, in one allocation, which SkyPilot has requested.
set -u
cd -- "$(dirname -- "$0")/.." || exit 1
run=$PWD
end() {{
    echo "error: a $2 of site.yaml could not be loaded" >&2
    exit "$1"
}}
echo "$SLURM_JOB_ID $SLURMD_NODENAME" > slurm/allocation
node=
asked=
trap 'asked=1; [ -z "$node" ] || ask' TERM
"""

ALLOCATION_END = """\
rm -f -- slurm/secrets.sh
{program}
exit "$code"
"""

LIMITS = """
# the seconds that the plan allows, and those that this run's jobs have used; the last ones are for the upload
allowed={allowed} spent=$(cat slurm/spent 2> /dev/null || echo 0)
left=$((${{allowed:-0}} - spent)) reserve={reserve} until=null
if [ -n "$allowed" ]; then until=$(($(date +%s) + left)); fi
if [ -n "$allowed" ] && [ $((left / 4)) -lt "$reserve" ]; then reserve=$((left / 4)); fi
printf '{{"format": 1, "until": %s, "reason": "budget", "reserve_seconds": %s, "stall_seconds": %s}}\\n' \\
    "$until" "$reserve" {stall} > limits.json
"""

END = """\
echo $((spent + SECONDS)) > slurm/spent
# 33 is an interruption with a checkpoint: the same job continues, unless somebody stopped or cancelled it
[ "$code" = 33 ] || end "$code"
[ ! -e "$job.stop" ] || end 33
[ -z "$allowed" ] || [ $((left - SECONDS)) -gt "$reserve" ] || end 33 budget
[ "$(scontrol show job "$SLURM_JOB_ID" | grep -o 'JobState=[A-Z]*')" = JobState=RUNNING ] || exit 33
tries=$(cat "$job.tries" 2> /dev/null || echo 0)
if [ "$(saved)" = "$before" ]; then tries=$((tries + 1)); else tries=0; fi
echo "$tries" > "$job.tries"
[ "$tries" -lt {fruitless} ] || end 3 fruitless
scontrol requeue "$SLURM_JOB_ID" || end 33
exit 33
"""

SUBMIT = """\
#!/bin/bash
# Submits the jobs of this run that are not submitted yet; it can be run again. Prints the name and number of each.
set -euo pipefail
cd -- "$(dirname -- "$0")/.."
submit() {{
    local job=$1 before=${{2-}} number done=
    [ -z "$before" ] || [ ! -e "slurm/$before.end" ] || read -r done _ < "slurm/$before.end"
    if [ -z "$before" ] || [ "$done" = 0 ]; then set --; else
        set -- "--dependency=afterok:$(cat "slurm/$before.job")" --kill-on-invalid-dep=yes
    fi
    number=$(cat "slurm/$job.job" 2> /dev/null || true)
    [ -n "$number" ] || number=$(squeue --noheader --me --states=all --name="$job" --format=%A | head -n 1)
    [ -n "$number" ] || number=$(sbatch --parsable "$@" "slurm/$job.sh" | cut -d ';' -f 1)
    echo "$number" > "slurm/$job.part"
    mv -- "slurm/$job.part" "slurm/$job.job"
    echo "$job $number"
}}
exec 9> slurm/lock
flock 9
{lines}
"""
