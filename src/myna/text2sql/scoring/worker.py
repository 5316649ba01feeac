"""The process that judges answers: `python -m myna.text2sql.scoring.worker`.

JSON lines come in on standard input: first the places of the databases, then chunks of answers. One line goes out for
each verdict, as soon as it is there. It ends when its input does, so it never outlives the scorer. Loads no model.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from myna.errors import MynaError
from myna.foreign_text import make_logs_visible
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring.causes import NOT_JUDGED, because
from myna.text2sql.scoring.opened import OpenDatabases
from myna.text2sql.scoring.places import Place
from myna.text2sql.scoring.rules import judge
from myna.text2sql.scoring.verdict import Verdict


def main() -> None:
    """Judge what comes in on standard input."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no verdict
    make_logs_visible()
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it tells of odd SQL, which is judged here anyway
    lines = iter(sys.stdin.buffer)
    setup = json.loads(next(lines))
    places = {name: Place(**place) for name, place in setup["places"].items()}
    # When the scorer is gone there is nobody to send a verdict to.
    with OpenDatabases(places, seconds=setup["seconds"]) as databases, suppress(BrokenPipeError):
        _send(channel, {"ready": True})
        for line in lines:
            for message in _judged(databases, json.loads(line)):
                _send(channel, message)


def _judged(databases: OpenDatabases, chunk: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in chunk:
        try:
            verdict = judge(SqlFacts(**task["facts"]), task["answer"], databases)
        except MynaError as error:  # of the data or a database as such, not of this answer
            yield {"error": [type(error).__name__, str(error)]}
            return
        except Exception as error:
            message = f"Myna failed in a way that it should not: {type(error).__name__}: {error}"
            verdict = because(Verdict(execution=False, valid=False), NOT_JUDGED, message=message)
        yield {"question": task["question"], "verdict": verdict.as_dict()}


def _send(channel: BinaryIO, message: Mapping[str, Any]) -> None:
    channel.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    channel.flush()


if __name__ == "__main__":
    main()
