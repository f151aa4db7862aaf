"""What a job costs in a cluster's own unit: Slurm's billing, by the weights of a partition. Pure."""

import re
from collections.abc import Mapping

from launcher.backends.slurm.groups import Group
from launcher.config.slurm import gigabytes, seconds


def weights(text: str) -> dict[str, float]:
    """`CPU=1.0,Mem=0.25G,GRES/gpu=10`: what a core, a GiB and a GPU are worth."""
    found = {}
    for one in text.removeprefix("TRESBillingWeights=").split(","):
        name, _, value = one.strip().partition("=")
        if number := re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([KMGT]?)", value):
            scale = gigabytes(f"1{number[2]}") if number[2] and name.lower() == "mem" else 1.0
            found[name.lower()] = float(number[1]) / scale
    return found


def an_hour(worth: Mapping[str, float], group: Group, nodes: int) -> float:
    """Units an hour of a job on so many nodes; memory counts where `mem` is asked for."""
    options, gres = group.needs.options, re.fullmatch(r"gpu:(?:([\w-]+):)?(\d{1,9})", group.needs.gres or "")
    cards = int(gres[2]) if gres else 0
    card = worth.get(f"gres/gpu:{gres[1]}", worth.get("gres/gpu", 0.0)) if gres else 0.0
    memory = gigabytes(str(options["mem"])) if "mem" in options else 0.0
    cores = int(options.get("cpus-per-task", 1))
    return nodes * (cores * worth.get("cpu", 0.0) + memory * worth.get("mem", 0.0) + cards * card)


def says(text: str, group: Group, nodes: int) -> str | None:
    """A line about the job's cost; None where the cluster has no unit of its own."""
    if not (worth := weights(text)):
        return None
    rate = an_hour(worth, group, nodes)
    limit = group.needs.time
    most = f", {rate * seconds(limit) / 3600:,.1f} in the {limit} that it may take" if limit else ""
    return f"{group.name}: {rate:,.1f} of the cluster's billing units an hour{most}"
