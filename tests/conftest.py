"""For all tests."""

import signal


def pytest_configure(config):
    """A shell starts background jobs with SIGINT ignored, and every process below would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
