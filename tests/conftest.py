"""What all tests have in common: a folder of their own for what Myna remembers of a user, and Ctrl-C for children."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

# A shell without job control starts what it puts into the background (`make test &`) with SIGINT ignored, and so would
# be every child of ours that a test interrupts. A handler of our own gives children the default one (POSIX, exec).
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before
