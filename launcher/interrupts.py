"""Ctrl-C, heard where it may be, and not where it may not."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C is heard at once."""
    with _handler(signal.default_int_handler):
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ctrl-C is not heard: a machine is being ended."""
    with _handler(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """A Ctrl-C that falls in here is one that falls right after it: nothing is started and then forgotten."""
    asked: list[int] = []
    with _handler(lambda number, _: asked.append(number)):
        yield
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handler(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
