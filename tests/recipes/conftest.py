"""Warnings of other people's packages, each named, that no test of ours can act on."""

import pytest

THIRD_PARTY_WARNINGS = []


def pytest_configure(config: pytest.Config) -> None:
    for line in THIRD_PARTY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
