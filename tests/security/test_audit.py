"""`make audit` lists what is known, and says so when nobody could be asked."""

import os
import subprocess
import sys

import pytest

from tests.support.patience import patience

from .audit import LOCKS, holes, last, unasked, understood
from .test_offline import OFFLINE, ROOT

PACKAGES = [
    {"name": "rich", "version": "14.0.0", "vulns": []},
    {
        "name": "requests",
        "version": "2.31.0",
        "vulns": [
            {"id": "PYSEC-2024-1", "aliases": ["GHSA-9", "CVE-2024-35195"], "fix_versions": ["2.32.0"]},
            {"id": "PYSEC-2026-2", "aliases": [], "fix_versions": []},
        ],
    },
    {"name": "torch", "skip_reason": "Dependency not found on PyPI: torch (2.13.0+cpu)"},
]
"""As pip-audit 2.10 writes it."""


def test_each_hole_is_a_line_with_the_version_that_mends_it():
    assert list(holes(PACKAGES)) == [
        "requests 2.31.0: CVE-2024-35195, mended in 2.32.0",
        "requests 2.31.0: PYSEC-2026-2, mended in no version yet",
        "torch: not looked at: Dependency not found on PyPI: torch (2.13.0+cpu)",
    ]


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"dependencies": 3}', "No known vulnerabilities found"])
def test_what_is_no_answer_is_not_taken_for_none_known(text):
    assert understood(text) is None


def test_packages_that_were_not_found_are_not_taken_for_ones_without_holes():
    assert unasked(PACKAGES) is None and unasked([]) is None
    assert unasked(PACKAGES[2:]) == (
        "none of its 1 packages was found where it asked: Dependency not found on PyPI: torch (2.13.0+cpu)"
    )


def test_the_last_line_of_what_went_wrong_is_told():
    assert last("a\nb\n\n") == "b" and last("") == "no message"


@pytest.mark.skipif(os.environ.get("FAULTS") != "all", reason="makes an environment: FAULTS=all")
def test_without_a_network_it_says_that_nobody_could_be_asked():
    if subprocess.run([*OFFLINE, "true"], capture_output=True).returncode:
        pytest.skip("no namespace can be made here")
    argv = [*OFFLINE, sys.executable, "-m", "tests.security.audit", str(LOCKS / "launcher.lock")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=patience(300))
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert done.stderr.startswith("error: nobody could be asked about holes: `")
    assert done.stderr.endswith("\n\nhint: it takes a network that reaches pypi.org\n")
