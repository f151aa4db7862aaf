"""The environment with the locked packages of a recipe on the shared storage of a cluster: its path, and the script
that makes it. Pure."""

from launcher.runfolder.plan import Plan


def variant(plan: Plan) -> str:
    """Which lock the plan's machine needs."""
    return "cuda" if plan.machine.accelerators else "cpu"


def path_of(plan: Plan) -> str:
    """The path of the environment below the folder of all runs: the same packages give the same name."""
    return f".environments/{variant(plan)}-{(plan.environment or 'none')[:16]}"


LOOK = '[ ! -e "$1/made" ] || echo made'
MAKE = """\
# RUNS ENVIRONMENT LOCK_WITHOUT_SUFFIX PYTHON INDEX_FOR_TORCH: makes the environment, unless it is there
set -euo pipefail
cd -- "$1"
folder=$PWD/$2 lock=$PWD/$3.lock unlocked=$PWD/$3.in python=$4 index=$5
mkdir -p -- "${folder%/*}"
exec 9> "$folder.lock"
flock 9
[ ! -e "$folder/made" ] || exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "$python is not Python 3.10 or newer: name one as slurm.interpreter" >&2; exit 1; }
rm -rf -- "$folder"
"$python" -m venv "$folder"
pip() { "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }
# a CPU's torch is not in the lock: an index may have it built for CPUs only
if ! grep -q '^torch==' "$lock" && torch=$(grep '^torch==' "$unlocked"); then
    pip ${index:+--index-url "$index"} "$torch"
fi
[ ! -s "$lock" ] || pip --no-deps --require-hashes --requirement "$lock"
touch "$folder/made"
"""
