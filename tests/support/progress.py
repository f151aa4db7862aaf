"""A pytest plugin that tells the runner (`python -m tests`) how far a lane is: a line of JSON a test, in the file that
LANE_EVENTS names. `-p tests.support.progress` turns it on."""

import json
import os
from typing import Any

import pytest

LINES = 30
"""How much is told of a failure: its first and its last lines; the lane's log has it whole."""


class Progress:
    """Writes what the runner reads."""

    def __init__(self, path: str):
        self.file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - open as long as the session
        self.reports: list[pytest.TestReport] = []

    def tell(self, **event: Any) -> None:
        self.file.write(json.dumps(event) + "\n")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tell(tests=len(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell(test=report.nodeid or "collection", outcome="failed", seconds=0.0, text=shortened(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.reports.append(report)
        if report.when != "teardown":
            return
        failed = [report for report in self.reports if report.failed]
        outcome = "failed" if failed else "skipped" if any(report.skipped for report in self.reports) else "passed"
        text = shortened(failed[0]) if failed else ""
        seconds = round(sum(report.duration for report in self.reports), 2)
        self.tell(test=report.nodeid, outcome=outcome, seconds=seconds, text=text)
        self.reports.clear()


def pytest_configure(config: pytest.Config) -> None:
    if path := os.environ.get("LANE_EVENTS"):
        config.pluginmanager.register(Progress(path), "progress")


def shortened(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Where it failed, the assertion with the program's words, and the end of what was written to stderr."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = f"{crash.path}:{crash.lineno}\n{crash.message}" if crash else str(report.longrepr)
    lines = text.splitlines()
    if len(lines) > LINES:
        lines = [*lines[: LINES // 2], f"[{len(lines) - LINES} lines are in the log]", *lines[-LINES // 2 :]]
    written = (report.capstderr or "").splitlines()[-LINES // 3 :]
    return "\n".join(line[:400] for line in [*lines, *written])
