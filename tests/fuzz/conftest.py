import pytest

from tests.support.clouds import clouds_of_skypilot

from .outcome import said

__all__ = ["clouds_of_skypilot"]


@pytest.fixture
def refusal():
    """`refusal(call, *arguments)` is the sentence that it has to refuse with."""

    def refusal(call, *args):
        found = said(call, *args)
        assert found is not None
        return found

    return refusal
