"""Corrections → those whose SQL runs today, and why the others are left out.

Databases change after a correction was kept: each one's SQL is run again, under the wall that asking has. What of the
schema has changed is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from myna.data.example import Source
from myna.databases import Database, Limits
from myna.databases.allowed import shown_place
from myna.errors import DatabaseError, excerpt
from myna.text2sql.asking.changes import changes_since_training, described
from myna.text2sql.comparison import is_ordered, same_result
from myna.text2sql.facts import SqlFacts
from myna.text2sql.identifiers import identifier, table_identifier
from myna.text2sql.learning.databases import KnownDatabases
from myna.text2sql.learning.reading import Correction
from myna.text2sql.scoring.normal_form import normal_form
from myna.text2sql.scoring.opened import ROWS


@dataclass(frozen=True, slots=True)
class Lesson:
    """A correction that can be learnt.

    facts: as the new data has them, the database by its name there. meaning: equal for corrections of one database
    whose SQL is the same but for spelling.
    """

    correction: Correction
    facts: SqlFacts
    meaning: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A correction that can't be learnt. reason: the database's message, or what is wrong with the line."""

    where: str
    question: str
    sql: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields for JSON."""
        return {"where": self.where, "question": self.question, "sql": self.sql, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Checked:
    """All corrections, in the order of their file. notes: for a person."""

    lessons: tuple[Lesson, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def check_corrections(
    corrections: Sequence[Correction],
    known: KnownDatabases,
    *,
    data: Path | None,
    other_databases: bool,
    time_limit: float,
) -> Checked:
    """Run the SQL of every correction again.

    known: of the run's data. data: the folder that the run was trained on, to tell what has changed since.
    other_databases: take corrections of databases that `known` does not have too. time_limit: seconds of each query.
    Raises `MissingDependency` when a database's driver is not installed.
    """
    by_place: defaultdict[str, list[Correction]] = defaultdict(list)
    for correction in corrections:
        by_place[correction.facts.database].append(correction)
    lessons: dict[Source, Lesson] = {}
    reasons: dict[Source, str] = {}
    notes: list[str] = []
    for place, mine in by_place.items():
        name = known.name_of(place)
        if name is None and not other_databases:
            reason = f"asks {shown_place(place)}, which the run's data does not know (it knows: {known.in_words()})"
            reasons |= {each.source: reason for each in mine}
            continue
        try:
            opened_at = known.opened_at(place, str(mine[0].source))
            with Database.open(opened_at, limits=Limits(seconds=time_limit, rows=ROWS)) as database:
                notes += _changes(mine, database, None if name is None else data)
                name = name or known.add(opened_at)
                for each in mine:
                    if (reason_against := _reason_against(each, database)) is None:
                        lessons[each.source] = _lesson(each, name, database)
                    else:
                        reasons[each.source] = reason_against
        except DatabaseError as error:  # it can't be opened, or its schema not be read
            reasons |= {each.source: str(error) for each in mine}
    return Checked(
        tuple(lessons[each.source] for each in corrections if each.source in lessons),
        tuple(
            LeftOut(str(each.source), each.question, each.facts.gold, reasons[each.source])
            for each in corrections
            if each.source in reasons
        ),
        tuple(notes),
    )


def _reason_against(correction: Correction, database: Database) -> str | None:
    """Run a correction's SQL, and what is learnt of it where that is written otherwise; return what is wrong."""
    gold, answer = correction.facts.gold, correction.answer
    try:
        result = database.run(gold)
        if answer == gold or same_result(result, database.run(answer), ordered=is_ordered(gold, database.dialect)):
            return None
    except DatabaseError as error:
        return str(error)
    return f"its messages answer {excerpt(answer)}, which gives other rows than its gold SQL"


def _lesson(correction: Correction, name: str, database: Database) -> Lesson:
    gold = correction.facts.gold
    tree = normal_form(gold, database.dialect, database.schema)
    return Lesson(
        correction, replace(correction.facts, database=name), f"{name}\0{gold if tree is None else tree.sql()}"
    )


def _changes(corrections: Sequence[Correction], database: Database, data: Path | None) -> Iterator[str]:
    """Yield what of the schema has changed since training, and since corrections were asked."""
    if data is not None:
        for change in changes_since_training(data, database):
            yield f"{database.name}: since training {change}; build its data again to train on the schema as it is now"
    outdated = [each for each in corrections if _shows_what_is_gone(each, database)]
    if outdated:
        first, count = outdated[0].source, len(outdated)
        yield (
            f"{database.name}: its schema has changed since {count} of its corrections were asked (the first: "
            f"{first}); they are learnt with the schema that they were asked with"
        )


def _shows_what_is_gone(correction: Correction, database: Database) -> bool:
    """Whether the schema in a correction's prompt has a table or column that the database has no more."""
    dialect = database.dialect
    now = {
        table_identifier(table.name, dialect): {identifier(column.name, dialect) for column in table.columns}
        for table in database.schema.tables
    }
    shown = described(str(correction.messages[0].get("content")))
    return any(not set(columns) <= now.get(table, set()) for table, columns in shown.items())
