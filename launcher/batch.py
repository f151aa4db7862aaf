"""The scripts of a run on Slurm: one for each job, readable and to be submitted by hand too, and one that submits them
all. Pure."""

import shlex
from collections.abc import Sequence

from launcher.environment import beside
from launcher.node.records import Plan
from launcher.sbatch import Group, options
from launcher.scheduler import SlurmSite

FRUITLESS = 3
"""A job ends for good after so many attempts in a row that left no new checkpoint."""
CODE = "code"
"""Below the run folder: the node program and the recipes, as they were when the run was submitted."""


def script(plan: Plan, group: Group, site: SlurmSite, job: str) -> str:
    """The batch script of a group. It is submitted in the run folder, and lies below `slurm/`."""
    last = plan.stages[-1].name in group.stages
    modules = [f"module load {shlex.quote(one)} || end 1 module" for one in group.needs.modules]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(site.environment.items())]
    return "\n".join(
        [
            "#!/bin/bash",
            *options(plan, group, site, job),
            "",
            f"# {plan.recipe}: {', '.join(group.stages)}. By hand, in the run folder: sbatch slurm/{job}.sh",
            START.format(job=job, last="yes" if last else ""),
            *modules,
            *exports,
            "[ ! -e slurm/secrets.sh ] || . slurm/secrets.sh",
            f"python={_python(plan, site)}",
            *([MEETING] if plan.machine.nodes > 1 else []),
            NODE.format(code=CODE, stages=",".join(group.stages)),
            END.format(fruitless=FRUITLESS),
        ]
    )


def submission(jobs: Sequence[str]) -> str:
    """A script that submits the jobs, each after the one before it, unless they are submitted already; safe to run
    again, also where it was cut off. It lies below `slurm/` and prints a line for each job."""
    lines = []
    for before, job in zip([None, *jobs], jobs, strict=False):
        lines.append(f"submit {job} {before}" if before else f"submit {job}")
    return SUBMIT.format(lines="\n".join(lines))


def _python(plan: Plan, site: SlurmSite) -> str:
    """A word of shell; the environment that is made lies beside the run folder."""
    return shlex.quote(site.python) if site.python else f'"${{run%/*}}/{beside(plan)}/bin/python"'


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
before=$(saved)
node=
asked=
trap 'asked=1; [ -z "$node" ] || kill -TERM "$node" 2> /dev/null' TERM
"""

MEETING = """
# several nodes: where they meet. A stage starts its ranks with srun; Ray, where it is installed, is there before it
export NNODES=$SLURM_JOB_NUM_NODES
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
ray=${python%/*}/ray
if [ -x "$ray" ]; then
    export RAY_ADDRESS=$MASTER_ADDR:$((40000 + SLURM_JOB_ID % 20000))
    others=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n +2 | paste -sd , -)
    step() { srun --overlap --nodelist="$1" --nodes="$2" --ntasks="$2" "${@:3}" >> ray.log 2>&1 & }
    step "$MASTER_ADDR" 1 "$ray" start --block --head --port="${RAY_ADDRESS##*:}" --include-dashboard=false \\
        --temp-dir="/tmp/ray-$SLURM_JOB_ID"  # in Ray's own folder any other Ray of this machine would find this one
    join='until "$0" start --block --address="$RAY_ADDRESS"; do sleep 2; done'
    step "$others" $((NNODES - 1)) bash -c "$join" "$ray"
    for _ in {1..60}; do
        [ "$("$ray" status 2> /dev/null | grep -c '^ 1 node_')" -lt "$NNODES" ] || break
        sleep 2
    done
fi
"""

NODE = """
# what a job that was cut off left behind on another node needs a moment to end
[ ! -e node.lock ] || flock --shared --wait 300 node.lock true
(cd {code} && exec "$python" -m launcher.node "$run" --code "$run/{code}" --stages {stages} >> "$run/node.log" 2>&1) &
node=$!
[ -z "$asked" ] || kill -TERM "$node"
while kill -0 "$node" 2> /dev/null; do wait "$node"; done
wait "$node"
code=$?
"""

END = """\
# 33 is an interruption with a checkpoint: the same job goes on, unless somebody stopped or cancelled it
[ "$code" = 33 ] || end "$code"
[ ! -e "$job.stop" ] || end 33
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
