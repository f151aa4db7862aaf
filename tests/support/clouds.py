"""The clouds that SkyPilot knows, without SkyPilot."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def clouds_of_skypilot():
    """SkyPilot itself is imported only by processes of its own: that takes seconds, and its libraries warn."""
    names = ("aws", "gcp", "kubernetes", "lambda", "runpod", "vast")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("launcher.clouds.skypilot.cloud_names", lambda: names)
        yield names
