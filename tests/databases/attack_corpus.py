"""Attack corpora: `attacks/KIND.jsonl`, one statement a line with the group it belongs to.

A statement is a text, or a list of texts and of `[text, times]` for what is repeated. `{folder}` stands for the
folder of the attacked database.
"""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Attack:
    line: int
    group: str
    sql: str

    def __str__(self) -> str:
        return f"{self.line} ({self.group}): {self.sql[:120]}"


def attacks(kind: str, folder: Path) -> list[Attack]:
    """Read the corpus against databases of `kind`."""
    lines = (Path(__file__).parent / "attacks" / f"{kind}.jsonl").read_text("utf-8").splitlines()
    read = [json.loads(line) for line in lines]
    return [
        Attack(number, entry["group"], _text(entry["sql"]).replace("{folder}", str(folder)))
        for number, entry in enumerate(read, start=1)
    ]


def _text(sql: str | list[str | list[object]]) -> str:
    if isinstance(sql, str):
        return sql
    return "".join(part if isinstance(part, str) else str(part[0]) * int(str(part[1])) for part in sql)
