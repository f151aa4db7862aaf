"""Blocks in which Ctrl-C acts at once, later, or not at all."""

import contextlib
import signal
import threading
from collections.abc import Iterator


def interruptible() -> contextlib.AbstractContextManager[None]:
    """Ctrl-C acts at once."""
    return _handler(signal.default_int_handler)


def uninterruptible() -> contextlib.AbstractContextManager[None]:
    """Ctrl-C does nothing: a machine is being terminated."""
    return _handler(signal.SIG_IGN)


@contextlib.contextmanager
def interruptible_after() -> Iterator[None]:
    """Ctrl-C acts after the block: nothing is started and then forgotten."""
    signals: list[int] = []
    with _handler(lambda number, _: signals.append(number)):
        yield
    if signals:
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
