"""The list of checks, and the loop over it: what `plan` shows and `launch` demands."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from launcher.backends.local import find_python
from launcher.clouds.catalog import Catalog, folder, read_catalogs
from launcher.clouds.offers import offers
from launcher.clouds.providers import clouds_of, experimental
from launcher.config.recipe import InputSpec
from launcher.config.secrets import values
from launcher.config.site import HERE, SiteFile, existing
from launcher.config.yaml import load
from launcher.errors import LaunchError, check_known
from launcher.images.docker_engine import Card, cards
from launcher.planning.request import Draft
from launcher.preflight import access, cost, machine, recipe, slurm
from launcher.preflight.finding import REFUSED, WARNING, Finding
from launcher.runfolder.events import Tail
from launcher.runfolder.plan import Plan
from launcher.runfolder.status import status
from launcher.transfer.store import Store, read_existing

PLAN, LAUNCH = "`plan` and `launch`", "`launch`"
"""When a check is done."""
LOCAL, DOCKER, SLURM, RENTED = "local", "docker", "slurm", "rented machines"
"""Where a run may go."""
EVERYWHERE = (LOCAL, DOCKER, SLURM, RENTED)


@dataclass(frozen=True)
class Facts:
    """What the checks of a launch look at; what takes time is looked up once, when the first check asks for it."""

    draft: Draft
    root: Path
    site: SiteFile

    @property
    def plan(self) -> Plan:
        return self.draft.plan

    @property
    def paid(self) -> bool:
        """Whether the machine is another's."""
        return self.plan.machine.cloud not in HERE

    @property
    def where(self) -> str:
        """The one of `EVERYWHERE` that the run goes to."""
        cloud = self.plan.machine.cloud
        if cloud in (LOCAL, DOCKER):
            return cloud
        return SLURM if cloud == SLURM and self.site.slurm else RENTED

    @property
    def clouds(self) -> tuple[str, ...]:
        return clouds_of(self.plan.machine.cloud)

    @cached_property
    def cards(self) -> list[Card]:
        """The GPUs of this machine, for a run on it."""
        return cards() if self.where == DOCKER else []

    @property
    def kinds(self) -> list[machine.Kind]:
        """The GPUs that the run may get."""
        accelerators, nodes = self.plan.machine.accelerators, self.plan.machine.nodes
        if self.cards and accelerators:
            return [machine.kind_of(self.cards)]
        return machine.kinds_of(accelerators, nodes)

    @cached_property
    def catalogs(self) -> Mapping[str, Catalog]:
        return read_catalogs(self.clouds, folder(os.environ), time.time(), self.draft.job)

    @property
    def free(self) -> int | None:
        """Bytes free where the run writes; None where that is not on this machine."""
        cluster = self.site.slurm if self.where == SLURM else None
        return (
            None
            if self.paid and (cluster is None or cluster.host)
            else shutil.disk_usage(existing(self.site.local_store)).free
        )

    @property
    def remote_store(self) -> str:
        """Where the run's checkpoints are kept, if not in the run folder here."""
        cluster = self.site.slurm if self.where == SLURM else None
        if self.plan.bucket and self.paid:
            return "in its bucket"
        return "on the cluster" if cluster and cluster.host else ""

    @property
    def prices(self) -> tuple[float, float] | None:
        """The cheapest and the dearest machine's, in dollars an hour."""
        if self.where != RENTED or not self.draft.job:
            return None
        prices = [offer.price_per_hour for offer in offers(self.draft.job, self.clouds, self.catalogs)]
        return (prices[0], prices[-1]) if prices else None

    @cached_property
    def secrets(self) -> Mapping[str, str] | None:
        """The secrets that the job will have; None where one that is needed is not there."""
        if access.secrets(self.plan, self.site, os.environ).level == REFUSED:
            return None
        return values(self.plan, self.site, os.environ)


@dataclass(frozen=True)
class Check:
    """`name`: as its finding prints it, and as `--force` takes it. `when` and `where` it is done: `PLAN` or `LAUNCH`,
    and some of `EVERYWHERE`. `function`: the check itself, whose docstring the reference page prints. `arguments`: what
    it is given of the launch's facts; None where there is nothing to check, as where the check itself returns None."""

    name: str
    when: str
    where: tuple[str, ...]
    function: Callable[..., Finding | None]
    arguments: Callable[[Facts], tuple[Any, ...] | None]


CHECKS = (
    Check("pins", PLAN, EVERYWHERE, access.pins, lambda it: (it.plan, it.paid)),
    Check("inputs", PLAN, EVERYWHERE, recipe.inputs, lambda it: (_inputs(it), it.draft.inputs)),
    Check("settings", PLAN, EVERYWHERE, recipe.settings, lambda it: (it.plan, it.draft.recipe, it.root)),
    Check("disk", PLAN, EVERYWHERE, machine.disk, lambda it: (it.plan, it.free)),
    Check("secrets", PLAN, EVERYWHERE, access.secrets, lambda it: (it.plan, it.site, os.environ)),
    Check(
        "resume",
        PLAN,
        EVERYWHERE,
        recipe.resume,
        lambda it: (it.plan, Store(it.site).folder(it.plan.run), it.remote_store),
    ),
    Check("image", PLAN, (DOCKER,), access.image, lambda it: (it.plan,)),
    Check("gpus", PLAN, (DOCKER,), machine.gpus, lambda it: (it.plan, it.cards)),
    Check(
        "kernels",
        PLAN,
        (DOCKER, SLURM, RENTED),
        machine.kernels,
        lambda it: (it.plan, it.draft.recipe.file.flash_attention, it.cards),
    ),
    Check(
        "memory",
        PLAN,
        (DOCKER, SLURM, RENTED),
        machine.memory,
        lambda it: (it.plan, it.draft.recipe, it.kinds, it.root),
    ),
    Check(
        "credentials",
        PLAN,
        (SLURM,),
        access.cluster,
        lambda it: (it.site.slurm, Path.home()) if it.site.slurm and it.site.slurm.via == "sky" else None,
    ),
    Check(
        "image",
        PLAN,
        (SLURM,),
        access.in_registry,
        lambda it: (it.plan, it.site.registry) if it.plan.image else None,
    ),
    Check("queue", PLAN, (SLURM,), slurm.queue, lambda it: (it.plan, it.site.slurm)),
    Check(
        "workspace",
        PLAN,
        (SLURM,),
        slurm.workspace,
        lambda it: (it.site.slurm,) if it.site.slurm and it.site.slurm.workspace is not None else None,
    ),
    Check("cloud", PLAN, (RENTED,), cost.experiment, lambda it: (experimental(it.clouds),)),
    Check("price", PLAN, (RENTED,), cost.price, lambda it: (it.plan, it.draft.job, it.catalogs)),
    Check("credentials", PLAN, (RENTED,), access.credentials, lambda it: (it.clouds, Path.home())),
    Check(
        "offers",
        PLAN,
        (RENTED,),
        cost.features,
        lambda it: (load(it.draft.job.path), it.draft.job.path.name, it.clouds) if it.draft.job else None,
    ),
    Check("hours", PLAN, (SLURM, RENTED), cost.hours, lambda it: (it.plan, _past(it.plan, it.site), it.prices)),
    Check(
        "data",
        LAUNCH,
        EVERYWHERE,
        recipe.data,
        lambda it: (it.draft.recipe.file.check, it.draft.inputs, it.root, _python(it)),
    ),
    Check("sources", LAUNCH, EVERYWHERE, access.sources, lambda it: (it.plan, it.paid) if it.plan.sources else None),
    Check(
        "accounts",
        LAUNCH,
        (DOCKER, SLURM, RENTED),
        access.accounts,
        lambda it: None if it.secrets is None else (it.plan, it.site, os.environ),
    ),
    Check(
        "texts",
        LAUNCH,
        (DOCKER, SLURM, RENTED),
        recipe.texts,
        lambda it: None if it.secrets is None else (it.plan, it.draft.recipe, it.draft.inputs, it.secrets, it.root),
    ),
)
"""All checks, in the order in which they are printed."""
BESIDE = ("memory",)
"""Checks that run beside the others: each starts a program of the recipe, and so does `settings`."""


def quick(draft: Draft, root: Path, site: SiteFile) -> list[Finding]:
    """What the checks find that cost no time. Raises LaunchError when `--force` names no check."""
    return _findings(Facts(draft, root, site), (PLAN,))


def thorough(draft: Draft, root: Path, site: SiteFile) -> list[Finding]:
    """What all checks find: also the recipe's own check of the data, and what the services say of the user's keys.
    Raises LaunchError when `--force` names no check."""
    return _findings(Facts(draft, root, site), (PLAN, LAUNCH))


def _findings(facts: Facts, when: tuple[str, ...]) -> list[Finding]:
    for name in facts.plan.forced:
        check_known(name, {check.name for check in CHECKS}, f"`--force {name}`: there is no check of this name")
    checks = [check for check in CHECKS if check.when in when and facts.where in check.where]
    with ThreadPoolExecutor(1) as pool:
        beside = {check: pool.submit(_asked, check, facts) for check in checks if check.name in BESIDE}
        alone = {check: _asked(check, facts) for check in checks if check not in beside}
        findings = [beside[check].result() if check in beside else alone[check] for check in checks]
    return [_overruled(finding, facts.plan) for finding in findings if finding]


def _asked(check: Check, facts: Facts) -> Finding | None:
    arguments = check.arguments(facts)
    return None if arguments is None else check.function(*arguments)


def _overruled(finding: Finding, plan: Plan) -> Finding:
    """What the user forces is a warning, and the plan tells that it was."""
    if finding.level != REFUSED or finding.check not in plan.forced:
        return finding
    return replace(finding, level=WARNING, says=f"overruled by `--force`: {finding.says}")


def _inputs(facts: Facts) -> Mapping[str, InputSpec]:
    return {**facts.draft.recipe.file.inputs, **facts.draft.recipe.change.inputs}


def _python(facts: Facts) -> Path:
    """The interpreter of this machine's stages, or ours."""
    local = facts.plan.machine.cloud == LOCAL
    return find_python(facts.root, facts.site.local.python) if local else Path(sys.executable)


def _past(plan: Plan, site: SiteFile) -> list[cost.Past]:
    """Earlier runs of the recipe, as far as they can be read; a damaged one teaches nothing."""
    store, past = Store(site), []
    for name in store.runs():
        with contextlib.suppress(LaunchError):  # a damaged run teaches nothing
            other = read_existing(store.folder(name))
            if other and other.recipe == plan.recipe:
                past.append((other, status(other, Tail(store.folder(name).events).new(), False)))
    return past
