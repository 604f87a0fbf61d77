"""Ctrl-C, kept out of what must happen as a whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C inside the block is heeded at its end, by whatever handled it before the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers it to the main thread alone
        return
    held = []
    handler = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            signal.raise_signal(signal.SIGINT)
