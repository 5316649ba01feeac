"""Small data folders to plant faults in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from myna.checking import Finding, check

CREATE = (
    "CREATE TABLE students (name TEXT, age INTEGER); INSERT INTO students VALUES ('Ann', 20), ('Bob', 22), ('Eve', 24)"
)
Record = Mapping[str, Any]


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


def pair(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"prompt": question, "completion": answer, **more}


def asked(question: str, sql: str, database: str = "school") -> dict[str, Any]:
    return chat(question, sql, sql={"database": database, "gold": sql, "source": "", "line": None})


SUBJECTS = (
    "harbours",
    "violins",
    "glaciers",
    "parliaments",
    "beetles",
    "novels",
    "bridges",
    "comets",
    "orchards",
    "maps",
)
PLACES = ("Iceland", "Peru", "Kenya", "Norway", "Japan", "Malta")


def clean(first: int, last: int) -> list[dict[str, Any]]:
    """Questions and answers that have little in common."""
    records = []
    for number in range(first, last):
        subject, place = SUBJECTS[number % 10], PLACES[number // 10 % 6]
        records.append(chat(f"{place}: {subject}?", f"{subject[::-1]} {number**3:x} {place[::-1]}"))
    return records


def write(
    folder: Path, *, databases: Mapping[str, str] | None = None, **splits: Iterable[Record | str | bytes]
) -> Path:
    """Write splits of records, or of lines as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, records in splits.items():
        lines = [
            line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
            for line in records
        ]
        (folder / f"{split}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    if databases is not None:
        (folder / "data.json").write_text(json.dumps({"databases": dict(databases)}), "utf-8")
    return folder


def school(path: Path) -> str:
    """Make a database of three students; return its path as `data.json` names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(CREATE)
    connection.close()
    return str(path)


def found(folder: Path, **options: Any) -> dict[str, Finding]:
    """Check and return the findings by kind; a kind that is there twice is an error of the test."""
    findings = check(folder, **options).findings
    kinds = {finding.kind: finding for finding in findings}
    assert len(kinds) == len(findings)
    return kinds


def places(finding: Finding) -> list[str]:
    return [place.where for place in finding.examples]
