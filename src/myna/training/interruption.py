"""Ctrl-C: the first asks training to stop when the step is finished, the second stops at once.

Knows nothing of what is being stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Interruption:
    """Whether the user has asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def until_requested(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items` until the user asks to stop."""
        for item in items:
            if self.requested:
                return
            yield item

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Catch Ctrl-C while the block runs; the handler before is put back.

    In a thread other than the main one nothing is caught: Python delivers signals to the main thread alone.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, interruption._on_signal)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
