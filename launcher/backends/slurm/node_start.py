"""The lines of a Slurm job's script that start the node program: modules, variables, software, several nodes. Pure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from launcher.backends.slurm import image_file, software
from launcher.config.slurm import APPTAINER, PYXIS, Needs, SlurmSite
from launcher.runfolder.plan import Plan

CODE = "code"
"""In the run folder: the node program and the recipes as they were when the run was submitted."""
PYTHON, BAKED = "/opt/venv/bin/python", "/opt/launcher"
"""The interpreter of an image, and its code."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "offline"}


def preparation(plan: Plan, needs: Needs, site: SlurmSite) -> list[str]:
    """Lines that prepare the start of the node program. `$run` is the run folder; `end CODE REASON` ends the job."""
    meeting = [MEETING] if plan.machine.nodes > 1 else []
    return [*_environment(plan, needs, site, OFFLINE if site.offline else {}), *meeting]


def on_login(plan: Plan, stages: Sequence[str], site: SlurmSite) -> str:
    """A script that runs stages on the login node; its first argument is the run folder."""
    alone = replace(plan, machine=replace(plan.machine, nodes=1))
    plain = site.model_copy(update={"via": "sbatch"})
    return "\n".join([LOGIN, *_environment(alone, plain, plain, {}), program(alone, stages), LOGIN_END])


def _environment(plan: Plan, needs: Needs, site: SlurmSite, offline: Mapping[str, str]) -> list[str]:
    modules = [f"module load {shlex.quote(name)} || end 1 module" for name in needs.modules]
    variables = {**offline, **site.environment}
    return [
        *([MODULES, *modules, "set -u"] if modules else []),
        *[f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())],
        "[ ! -e slurm/secrets.sh ] || . slurm/secrets.sh",
        *(_packages(plan, site) if plan.image is None else _container(plan, site)),
    ]


def program(plan: Plan, stages: Sequence[str] = ()) -> str:
    """Lines that start the node program for these stages, or for all, and wait for it: its exit code is in `$code`.
    They ask it to stop if `$asked` is not empty."""
    code, enter = (BAKED, "") if plan.image else (f"$run/{CODE}", f'cd "$run/{CODE}" && ')
    leave, whole = ("leave", '"${whole[@]}" ') if plan.machine.nodes > 1 else ("", "")
    only = f" --stages {','.join(stages)}" if stages else ""
    return PROGRAM.format(code=code, enter=enter, only=only, leave=leave, whole=whole).rstrip() + "\n"


def _packages(plan: Plan, site: SlurmSite) -> list[str]:
    own = f'"${{run%/*}}/{software.path_of(plan)}/bin/python"'
    return [f"python={shlex.quote(site.python) if site.python else own}", *_step(site), "container=()"]


def _step(site: SlurmSite) -> list[str]:
    """`first` starts the program in a job step of its own: SkyPilot's has one core and no GPU, and Pyxis needs one.
    `ask` asks the program to stop."""
    own = site.via == "sky" or site.software == PYXIS
    return [f"first=({STEP})", ASK_STEP] if own else ["first=()", ASK]


def _container(plan: Plan, site: SlurmSite) -> list[str]:
    assert plan.image
    image = f'"${{run%/*}}/{image_file.path_of(plan.image, site.software)}"'
    folders = ['"${run%/*}"', *(shlex.quote(path) for path in site.environment.values() if path.startswith("/"))]
    if site.software == APPTAINER:
        binds = " ".join(f"--bind {folder}" for folder in folders)
        return [f"python={PYTHON}", *_step(site), f"container=(apptainer exec --nv {binds} {image})"]
    mounts = ",".join(f"{folder}:{folder}" for folder in folders)
    options = f"--container-image={image} --container-mounts={mounts} --no-container-mount-home"
    return [f"python={PYTHON}", *_step(site), f"container=({options})"]


LOGIN = """\
set -u
cd -- "$1" || exit 1
run=$PWD node= asked=
end() { echo "a $2 of site.yaml could not be loaded" >&2; exit "$1"; }
trap 'asked=1; [ -z "$node" ] || ask' HUP TERM"""
LOGIN_END = """\
[ "$code" = 0 ] || grep '^error: ' node.log | tail -n 1 | sed 's/^error: //' >&2
exit "$code"
"""
STEP = 'srun --overlap --cpu-bind=none --nodelist="$SLURMD_NODENAME" --nodes=1 --ntasks=1'
ASK = 'ask() { kill -TERM "$node" 2> /dev/null; }'
ASK_STEP = 'ask() { kill -TERM "$(cat "$run/node.lock")" 2> /dev/null; }  # srun would kill what it was told to end'

MODULES = """\
set +u
type module > /dev/null 2>&1 || . /etc/profile"""

MEETING = """
# several nodes: where they meet. A stage starts its ranks with srun; Ray, where it is installed, is there before it
# (in an allocation that SkyPilot holds, a job is told of one node and one task)
SLURM_JOB_NODELIST=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%N)
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
export NNODES=${#hosts[@]} MASTER_ADDR=${hosts[0]} MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
whole=(env -u SLURM_CPU_BIND -u SLURM_CPU_BIND_LIST -u SLURM_CPU_BIND_TYPE -u SLURM_CPU_BIND_VERBOSE
    SLURM_JOB_NODELIST="$SLURM_JOB_NODELIST" SLURM_NODELIST="$SLURM_JOB_NODELIST" SLURM_NNODES="$NNODES"
    SLURM_NTASKS="$NNODES" SLURM_NTASKS_PER_NODE=1 SKYPILOT_NUM_NODES="$NNODES")
others=$(IFS=,; echo "${hosts[*]:1}") ray=${python%/*}/ray folder=/tmp/ray-$SLURM_JOB_ID started=()
step() {
    srun --overlap --cpu-bind=none --nodelist="$1" --nodes="$2" --ntasks="$2" "${container[@]}" "${@:3}" >> ray.log 2>&1
}
leave() {  # nothing of this Ray stays on the nodes
    [ "${#started[@]}" = 0 ] || { kill "${started[@]}"; wait; step "$SLURM_JOB_NODELIST" "$NNODES" rm -rf "$folder"; }
}
if step "$MASTER_ADDR" 1 test -x "$ray"; then
    export RAY_ADDRESS=$MASTER_ADDR:$((40000 + SLURM_JOB_ID % 20000)) RAY_AUTH_MODE=token RAY_AUTH_TOKEN
    RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    # in Ray's own folder any other Ray of this machine would find this one
    step "$MASTER_ADDR" 1 "$ray" start --block --head --port="${RAY_ADDRESS##*:}" --include-dashboard=false \\
        --temp-dir="$folder" &
    started=($!)
    join='until "$0" start --block --address="$1"; do sleep 2; done'
    step "$others" $((NNODES - 1)) bash -c "$join" "$ray" "$RAY_ADDRESS" &
    started+=($!)
    met='[ "$("$0" status --address="$1" | grep -c "^ 1 node_")" -ge "$2" ]'
    for _ in {1..60}; do
        ! step "$MASTER_ADDR" 1 bash -c "$met" "$ray" "$RAY_ADDRESS" "$NNODES" || break
        sleep 2
    done
fi
"""

PROGRAM = """
# what a job that was cut off left behind on another node needs a moment to end
[ ! -e node.lock ] || flock --shared --wait 300 node.lock true
({enter}exec "${{first[@]}}" "${{container[@]}}" {whole}"$python" -m launcher.node "$run" --code "{code}"{only} \\
    >> "$run/node.log" 2>&1) &
node=$!
[ -z "$asked" ] || ask
while kill -0 "$node" 2> /dev/null; do wait "$node"; done
wait "$node"
code=$?
{leave}
"""
