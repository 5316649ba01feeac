"""Ctrl-C and SIGTERM: the first asks training to stop when the step is finished, the second stops at once.

SIGTERM is what `kill`, a job scheduler and a machine that shuts down send. Knows nothing of what is being stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the user has asked to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell says of a program that a signal ended: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    def until_requested(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items` until the user asks to stop."""
        for item in items:
            if self.requested:
                return
            yield item

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.signal = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(128 + number)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch Ctrl-C and SIGTERM while the block runs, also where the parent ignores them; the handlers before are put
    back.

    In a thread other than the main one nothing is caught: Python delivers signals to the main thread alone.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption._on_signal) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
