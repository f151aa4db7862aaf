"""Every machine that was ever asked for, written down before it was: a file each, which no crash takes with it."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from launcher.runfolder.files import write_json
from launcher.runfolder.validation import moment, plain

SECONDS = 3600.0


class Reason:
    """Why a machine ended, as the ledger notes it and a report shows it. launcher/diagnosis/rules.yaml has patterns for
    these texts. A machine may also end for the state of its run, such as `failed`."""

    BY_HAND = "ended by hand"
    PULLED = "its export is pulled"
    VANISHED = "it vanished"
    ENDED_BEFORE = "it had ended when we looked"
    NOT_ASKED_FOR = "nothing was asked for"


@dataclass(frozen=True)
class Entry:
    """A machine (all nodes of a run's cluster), from the moment before it was asked for; times in epoch seconds."""

    run: str
    """Its name with SkyPilot too."""
    clouds: str
    """Where it was asked for, as `runpod,lambda`."""
    folder: str
    """The laptop's side of the run."""
    asked: float
    cloud: str | None = None
    """Where it is; None until that is known."""
    region: str | None = None
    machine: str | None = None
    """The provider's name for its type."""
    price: float | None = None
    """Dollars per hour."""
    up: float | None = None
    """When it was first known to be there."""
    ended: float | None = None
    end: str | None = None
    """Why it is gone."""

    @property
    def sound(self) -> bool:
        """Whether it can be counted with: its file may be damaged."""
        texts = (self.cloud, self.region, self.machine, self.end)
        numbers = (self.price, self.up, self.ended)
        return (
            plain(self.run)
            and isinstance(self.clouds, str)
            and isinstance(self.folder, str)
            and moment(self.asked)
            and all(value is None or isinstance(value, str) for value in texts)
            and all(value is None or moment(value) for value in numbers)
        )

    def hours(self, now: float) -> float:
        return max(0.0, (self.ended or now) - self.asked) / SECONDS

    def cost(self, now: float) -> float | None:
        """Dollars until now, counted from the request: at most what the provider will ask for. None without a price."""
        return None if self.price is None else self.hours(now) * self.price

    def bill(self, now: float) -> str:
        """That it costs money, and how much until now."""
        cost, where = self.cost(now), self.cloud or self.clouds
        if where == "slurm":
            sure = "is reserved" if self.up else "may be waiting or reserved"
            return f"an allocation of run `{self.run}` on slurm {sure}: {self.hours(now):.1f} hours until now"
        money = f"${cost:.2f} until now, ${self.price:.2f} an hour" if cost is not None else "its price is unknown"
        sure = "still costs money" if self.up else "may exist and cost money"
        return f"a machine of run `{self.run}` on {where} {sure}: {money}"


@dataclass(frozen=True)
class Ledger:
    """The folder with an entry for each machine."""

    folder: Path

    def begin(self, run: str, clouds: str, folder: Path, now: float) -> Entry:
        """The entry is on disk: only now may the machine be asked for."""
        entry = Entry(run, clouds, str(folder), now)
        self.write(entry)
        return entry

    def write(self, entry: Entry) -> Entry:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(self._path(entry), asdict(entry))
        return entry

    def close(self, entry: Entry, why: str, now: float | None = None) -> Entry:
        """The machine is gone."""
        return self.write(replace(entry, ended=time.time() if now is None else now, end=why))

    def entries(self) -> list[Entry]:
        """All there are, oldest first. A file that cannot be read hides no other."""
        entries = []
        for path in self.folder.glob("*.json"):
            try:
                entry = Entry(**json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, RecursionError):
                continue
            if entry.sound:
                entries.append(entry)
        return sorted(entries, key=lambda entry: entry.asked)

    def files(self, run: str) -> list[Path]:
        """Where the entries of a run are, oldest first."""
        return sorted(self._path(entry) for entry in self.entries() if entry.run == run)

    def alive(self, run: str | None = None) -> list[Entry]:
        """What may still cost money: of a run, or of all."""
        return [entry for entry in self.entries() if entry.ended is None and run in (None, entry.run)]

    def of_folder(self, run: str, folder: Path) -> list[Entry]:
        """The machines of the run in this folder, oldest first."""
        return [entry for entry in self.entries() if (entry.run, entry.folder) == (run, str(folder))]

    def spent(self, run: str, now: float) -> float:
        """Dollars that the machines of a run have cost until now, as far as prices are known."""
        return sum(entry.cost(now) or 0.0 for entry in self.entries() if entry.run == run)

    def hours(self, run: str, now: float) -> float:
        """Hours that the machines of a run have been there until now."""
        return sum(entry.hours(now) for entry in self.entries() if entry.run == run)

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{entry.run}-{entry.asked:.3f}.json"


def ledger(env: Mapping[str, str] = os.environ) -> Ledger:
    """The user's own, by the XDG rules: the same one for every folder that runs are launched from."""
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".local" / "state")
    return Ledger(Path(state) / "launcher" / "machines")
