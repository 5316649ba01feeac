"""The one place where a question becomes the messages that a model sees: in training data, in scoring, in asking.

Schema text, question and hints in; a system and a user message out. The system message depends on the database alone,
so that all questions of one database share their prefix; what depends on the question comes after it, hints last. The
same arguments give the same bytes. Knows no model, tokenizer or database.
"""

from __future__ import annotations

from collections.abc import Sequence

from myna.data.example import Message

_SYSTEM = "Answer with one {dialect} query only.\n{schema}"
"""Short on purpose: every example pays for it."""
_DIALECTS = {"sqlite": "SQLite", "postgres": "PostgreSQL", "mysql": "MySQL", "duckdb": "DuckDB"}


def question_messages(
    schema_text: str, question: str, *, hints: Sequence[str] = (), dialect: str = "sqlite"
) -> tuple[Message, Message]:
    """Return the conversation up to the answer: the system message with the schema, and the user's question.

    schema_text: as `schema_text.schema_text` writes it. hints: cells that the question seems to mean, as
    `values.hints` writes them, each on one line. dialect: sqlglot's name of the database's SQL.
    """
    system = _SYSTEM.format(dialect=_DIALECTS.get(dialect, dialect), schema=schema_text)
    asked = question.strip()
    if hints:
        asked += f"\nHints: {'; '.join(hints)}"
    return {"role": "system", "content": system}, {"role": "user", "content": asked}
