"""Answers that a person confirmed or mended, kept as lines that train: `corrections.jsonl`.

    {"messages": [system, user, {"role": "assistant", "content": SQL}],
     "sql": {"database": PLACE, "gold": SQL, "source": "correction", "line": null},
     "correction": {"kind": "corrected" | "confirmed", "question": …, "answered": SQL or null, "at": TIME}}

A line is a data folder's line, so that whatever reads those reads these. The messages are those the model was asked
with; the SQL is in the surface that training data has, where it can be written so. PLACE is an absolute path, or a URL
without its password. What does not run is never kept.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from myna.databases import Database, Result
from myna.databases.allowed import allow
from myna.errors import QueryError, RunError
from myna.runs import writing
from myna.text2sql.asking.answer import Answer
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.surface import canonical

SOURCE = "correction"
"""What the facts of a correction name as their source."""

Kind: TypeAlias = Literal["corrected", "confirmed"]


class Corrections:
    """A file of corrections; it appears with the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, answer: Answer, sql: str, database: Database) -> Result:
        """Run `sql`, keep it as what `answer` should have been, and return its rows.

        The same SQL as the answer's confirms it. Raises `QueryError`, keeping nothing, when it does not run; `RunError`
        and `ResourceError` when the file can't be written.
        """
        result = database.run(sql)
        learnt = _as_training_writes_it(sql, result, database)
        facts = SqlFacts(database.address.place, sql, SOURCE)
        line = {
            "messages": [*answer.messages, {"role": "assistant", "content": learnt}],
            "sql": facts.as_dict(),
            "correction": {
                "kind": "confirmed" if sql == answer.sql and answer.result is not None else "corrected",
                "question": answer.question,
                "answered": answer.sql,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        }
        with suppress(RunError):  # then learning says how to allow it
            allow(facts.database)
        self._append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return result

    def _append(self, line: bytes) -> None:
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # someone's editor left the last line open
                        line = b"\n" + line
                file.write(line)
                os.fsync(file.fileno())


def _as_training_writes_it(sql: str, result: Result, database: Database) -> str:
    """Return `sql` in the surface of training data, as it stands where that can't be or gives other rows."""
    try:
        written = canonical(sql, database.schema, dialect=database.dialect)
        again = database.run(written)
        ordered = is_ordered(sql, database.dialect)
    except QueryError:
        return sql
    return written if same_result(result, again, ordered=ordered) else sql
