"""The environment of a recipe's locked packages on a cluster's shared storage: where it is, and what makes it. Pure."""

from launcher.runfolder.plan import Plan


def variant(plan: Plan) -> str:
    """Which lock the plan's machine needs."""
    return "cuda" if plan.machine.accelerators else "cpu"


def beside(plan: Plan) -> str:
    """The environment's folder, relative to the folder of all runs: the same packages give the same name."""
    return f".environments/{variant(plan)}-{(plan.environment or 'none')[:16]}"


LOOK = '[ ! -e "$1/made" ] || echo made'
MAKE = """\
# RUNS ENVIRONMENT LOCK_WITHOUT_SUFFIX PYTHON INDEX_FOR_TORCH: the environment is there, made once, whoever asks
set -euo pipefail
cd -- "$1"
place=$PWD/$2 lock=$PWD/$3.lock wanted=$PWD/$3.in python=$4 index=$5
mkdir -p -- "${place%/*}"
exec 9> "$place.lock"
flock 9
[ ! -e "$place/made" ] || exit 0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "$python is not Python 3.10 or newer: name one as slurm.interpreter" >&2; exit 1; }
rm -rf -- "$place"
"$python" -m venv "$place"
pip() { "$place/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"; }
# a CPU's torch is not in the lock: an index may have it built for CPUs only
if ! grep -q '^torch==' "$lock" && torch=$(grep '^torch==' "$wanted"); then
    pip ${index:+--index-url "$index"} "$torch"
fi
[ ! -s "$lock" ] || pip --no-deps --require-hashes --requirement "$lock"
touch "$place/made"
"""
