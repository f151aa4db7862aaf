"""What the clouds rent that fits a job, and for how much. Chosen as SkyPilot 0.14.1 would choose. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.clouds.accelerators import for_cloud, gibibytes
from launcher.clouds.catalog import Catalog, Kind
from launcher.clouds.providers import provider
from launcher.clouds.skypilot import CLUSTERS
from launcher.config.job import Job

OLD = 7.0
"""Days after which prices are said to be old. SkyPilot fetches them anew every 7 hours when it is used."""


@dataclass(frozen=True)
class Offer:
    """A machine that fits. `price_per_hour` is of all the job's nodes, in dollars; `memory` in GiB, `cpus` and `count`
    (of GPUs) are of one node."""

    cloud: str
    instance_type: str
    accelerator: str
    count: int
    price_per_hour: float
    regions: tuple[str, ...]
    cpus: float
    memory: float
    nodes: int = 1


def offers(job: Job, clouds: Iterable[str], catalogs: Mapping[str, Catalog]) -> list[Offer]:
    """Every machine with the wanted GPUs; for a job without GPUs, each cloud's cheapest. The cheapest offer first."""
    matches: list[Offer] = []
    for cloud in clouds:
        if cloud not in catalogs or cloud in joining_faults(job, [cloud]):
            continue
        fit = [_offer(cloud, kind, job.nodes) for kind in catalogs[cloud].kinds if fits(job, cloud, kind)]
        fit.sort(key=_cheapest)
        matches += fit if job.accelerators else fit[:1]
    return sorted(matches, key=_cheapest)


def nearest(job: Job, clouds: Iterable[str], catalogs: Mapping[str, Catalog]) -> Offer | None:
    """The largest machine with GPUs of the wanted kind, or with any GPUs where there is none; for a job without GPUs,
    the one with the most memory."""
    near: list[tuple[tuple[bool, float, float], Offer]] = []
    for cloud in clouds:
        names = {pair.partition(":")[0] for pair in for_cloud(job.accelerators, cloud)}
        for kind in catalogs[cloud].kinds if cloud in catalogs else ():
            size = kind.count * float(gibibytes(kind.accelerator) or 0) if names else kind.memory
            near.append(((kind.accelerator in names, size, -kind.price), _offer(cloud, kind, 1)))
    return max(near, key=lambda pair: pair[0])[1] if near else None


def missing_prices(clouds: Iterable[str], catalogs: Mapping[str, Catalog]) -> dict[str, str]:
    """Clouds whose prices are not known here: a sentence for each."""
    return {
        cloud: f"the price of a machine on `{cloud}` is unknown: SkyPilot has no prices of it"
        if cloud in (*CLUSTERS, "slurm")
        else f"SkyPilot has not fetched {row.title if (row := provider(cloud)) else cloud}'s prices yet: "
        f"`sky gpus list --infra {cloud}` does"
        for cloud in clouds
        if cloud not in catalogs
    }


def joining_faults(job: Job, clouds: Iterable[str]) -> dict[str, str]:
    """Clouds that have no machines for several nodes: a sentence for each."""
    return {
        cloud: f"{row.no_joining}, and the job wants {job.nodes}"
        for cloud in clouds
        if (row := provider(cloud)) and row.no_joining and job.nodes > 1
    }


def old_prices(clouds: Iterable[str], catalogs: Mapping[str, Catalog]) -> dict[str, str]:
    """Clouds whose prices are older than a week: a sentence for each."""
    rows = {cloud: provider(cloud) for cloud in clouds}
    return {
        cloud: f"{row.title if row else cloud}'s prices are {catalogs[cloud].age:.0f} days old"
        for cloud, row in rows.items()
        if cloud in catalogs and catalogs[cloud].age > OLD
    }


def fits(job: Job, cloud: str, kind: Kind) -> bool:
    """Whether one machine of that kind is what the job wants of each node."""
    required = for_cloud(job.accelerators, cloud)
    if required and f"{kind.accelerator}:{kind.count}".lower() not in [accelerator.lower() for accelerator in required]:
        return False
    cpus, memory = job.cpus, job.memory
    least = row.least if (row := provider(cloud)) else None
    if least and not required and memory is None:
        cpus, memory = least if cpus is None else (cpus, least[1])
    return _enough(kind.cpus, cpus, 1) and _enough(kind.memory, memory, kind.cpus)


def _enough(has: float, required: str | None, cpus: float) -> bool:
    """`wanted` is SkyPilot's `8`, `8+` or, of memory, `4x`: so much for each CPU."""
    if required is None:
        return True
    least = float(required.rstrip("+x"))
    if required.endswith("x"):
        return has >= least * cpus
    return has >= least if required.endswith("+") else has == least


def _offer(cloud: str, kind: Kind, nodes: int) -> Offer:
    whole = kind.price * nodes
    price = round(whole, 4) or whole  # however little it is, it is not nothing
    return Offer(cloud, kind.name, kind.accelerator, kind.count, price, kind.regions, kind.cpus, kind.memory, nodes)


def _cheapest(offer: Offer) -> tuple[float, str, str]:
    return offer.price_per_hour, offer.cloud, offer.instance_type
