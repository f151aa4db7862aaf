import pytest

from .outcome import said


@pytest.fixture
def refusal():
    """`refusal(call, *arguments)` is the sentence that it has to refuse with."""

    def refusal(call, *args):
        found = said(call, *args)
        assert found is not None
        return found

    return refusal
