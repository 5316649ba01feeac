"""Small schemas with every kind of name and their databases; what a grammar accepts, and queries drawn from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from myna.databases.schema import Column, ForeignKey, Schema, Table
from myna.text2sql.constraint import Constrainer
from myna.text2sql.identifiers import quoted


def schema(tables: Mapping[str, Sequence[str]], keys: Mapping[str, str] | None = None) -> Schema:
    """`{"students": ["Name", "SchoolID"]}`, `{"students.SchoolID": "schools.ID"}` → a schema."""
    made = []
    for name, columns in tables.items():
        foreign = [
            ForeignKey((source.split(".")[1],), target.split(".")[0], (target.split(".")[1],))
            for source, target in (keys or {}).items()
            if source.split(".")[0] == name
        ]
        made.append(Table(name, tuple(Column(each, "", "text") for each in columns), (), tuple(foreign)))
    return Schema(tuple(made))


def database(described: Schema) -> sqlite3.Connection:
    """An empty SQLite database of this schema."""
    connection = sqlite3.connect(":memory:")
    for table in described.tables:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        connection.execute(f"CREATE TABLE {quoted(table.name)} ({columns})")
    return connection


SCHOOL = schema(
    {
        "students": ["Name", "Age", "Height", "SchoolID"],
        "schools": ["ID", "Name", "City"],
        "visits": ["StudentName", "SchoolID", "Year"],
    },
    {"students.SchoolID": "schools.ID", "visits.SchoolID": "schools.ID"},
)
ODD = schema(
    {
        "order": ["select", "two words", 'a"b', "it's", "姓名", "x\\y", "id", "tab\there", "line\nbreak"],
        "学生 表": ["id", "年龄", "1st", "DISTINCT", "Dist"],
        "t\"q'1-2.3": ["😀", "a.b", "T1", "COUNT(*)"],
        "T2": ["name", "FROM", "T1.x", "' OR '1'='1"],
    }
)


def accepts(constrainer: Constrainer, grammar: str, text: str) -> bool:
    """Whether a text is a whole answer by `grammar`."""
    matcher, tokens = constrainer.matcher(grammar), constrainer._tokenizer.greedy_tokenize(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def drawn(
    constrainer: Constrainer, grammar: str, count: int, *, max_tokens: int = 256, seed: int = 0
) -> list[tuple[list[int], bool]]:
    """Tokens of `count` answers, each token drawn evenly from those allowed; and whether an end token came."""
    random = np.random.default_rng(seed)
    constraint = constrainer.hold([grammar] * count)(range(count), max_tokens)
    answers: list[list[int]] = [[] for _ in range(count)]
    live = list(range(count))
    for _ in range(max_tokens):
        masks = constraint.allowed(live)
        bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")
        tokens = [int(random.choice(np.flatnonzero(row))) for row in bits]
        constraint.taken(live, tokens)
        for sequence, token in zip(live, tokens, strict=True):
            answers[sequence].append(token)
        live = [i for i, token in zip(live, tokens, strict=True) if not constrainer.is_end(token)]
        if not live:
            break
    return [(answer[:-1] if i not in live else answer, i not in live) for i, answer in enumerate(answers)]
