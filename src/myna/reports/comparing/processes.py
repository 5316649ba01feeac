"""Measuring processes, one after the other: two at once would share the machine's speed, and one for two runs their
peak memory.

In: what to measure of each run. Out: what was found, or why nothing was. Knows nothing of how it is measured.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

from myna.reports.comparing.measured import Measured, Order

_KILLED_FOR_MEMORY = -int(getattr(signal, "SIGKILL", 9))


@dataclass(frozen=True, slots=True)
class Progress:
    """A run is being tested, or answers question `number` of `total`."""

    run: str
    stage: Literal["testing", "answering"]
    number: int = 0
    total: int = 0


Listener: TypeAlias = Callable[[Progress], None]


def measure_in_process(name: str, order: Order, listener: Listener | None) -> Measured:
    """Measure the run `name` in a process of its own. Whatever fails there is said in what comes back."""
    # -P: the folder the user is in is not searched for modules. A session of its own: Ctrl-C is for the caller.
    command = [sys.executable, "-P", "-m", "myna.reports.comparing.measuring"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        return Measured(missing=(f"not measured: no process can be started ({error})",))
    assert process.stdin is not None
    assert process.stdout is not None
    messages = []
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order.as_dict(), ensure_ascii=False).encode() + b"\n")
            process.stdin.flush()
        for line in process.stdout:
            if not line.endswith(b"\n"):  # it was ended while it wrote
                break
            message = json.loads(line)
            if "stage" not in message:
                messages.append(message)
            elif listener is not None:
                listener(Progress(name, message["stage"], message.get("number", 0), len(order.questions)))
    finally:
        if not any("done" in message for message in messages):
            process.kill()
        code = process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
    if not any("done" in message for message in messages):
        messages.append({"missing": f"not measured to the end: {_ended(code)}"})
    return Measured.from_messages(messages)


def _ended(code: int) -> str:
    if code == _KILLED_FOR_MEMORY:
        return "the system ended the process, most likely because memory ran out"
    return f"the process ended with exit code {code}; what it wrote stands above"
