"""WikiSQL's training questions, each time told a little differently: names, columns, spelling, values.

The same question never comes twice with the same prompt, so that columns have to be read and values copied. In: the
questions with the cells that they name. Out: groups of conversations that share a schema.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from myna.text2sql.grammar import literal_text
from myna.text2sql.identifiers import identifier
from myna.text2sql.prompt import question_messages
from myna.text2sql.schema_text import schema_text
from myna.text2sql.wikisql import WikiSQLQuery, WikiSQLTable, schema_of, to_sql
from spelling import camel, restored, same_words, snake, table_name

Conversation = list[dict[str, str]]
_TOGETHER = 4
"""Questions that share one schema, and so its computation."""


@dataclass(frozen=True)
class Match:
    """A cell that the question names, and where: as `ValueIndex.matches` found it."""

    column: int
    value: Any
    start: int
    stop: int


@dataclass(frozen=True)
class Asked:
    """A question of WikiSQL with what it names."""

    text: str
    query: WikiSQLQuery
    matches: tuple[Match, ...]


def conversations(
    table: WikiSQLTable, asked: Sequence[Asked], nouns: list[str], chance: random.Random
) -> Iterator[list[Conversation]]:
    """Yield groups of conversations about one table."""
    shuffled = list(asked)
    chance.shuffle(shuffled)
    for start in range(0, len(shuffled), _TOGETHER):
        yield _group(table, shuffled[start : start + _TOGETHER], nouns, chance)


def _group(table: WikiSQLTable, asked: Sequence[Asked], nouns: list[str], chance: random.Random) -> list[Conversation]:
    is_restored = chance.random() < 0.6
    used = {each.query.sel for each in asked}
    used |= {column for each in asked for column, _, _ in each.query.conds}
    used |= {match.column for each in asked for match in each.matches}
    share = chance.choice((0.0, 0.0, 0.3))
    kept = [c for c in range(len(table.columns)) if c in used or chance.random() >= share]
    chance.shuffle(kept)
    spelt = _names(table, is_restored, chance)
    shown = WikiSQLTable(table_name(nouns, chance), tuple(spelt[c] for c in kept), tuple(table.types[c] for c in kept))
    place = {column: number for number, column in enumerate(kept)}
    system = schema_text(schema_of(shown))
    return [_conversation(_told(each, table, is_restored, chance), shown, place, system, chance) for each in asked]


def _names(table: WikiSQLTable, is_restored: bool, chance: random.Random) -> list[str]:
    style = chance.random()
    spell = restored if is_restored else str
    if style < 0.08:
        spell = snake
    elif style < 0.12:
        spell = camel
    names = [spell(name) for name in table.columns]
    return names if len({name.casefold() for name in names}) == len(names) else list(table.columns)


def _told(asked: Asked, table: WikiSQLTable, is_restored: bool, chance: random.Random) -> Asked:
    """Return the question with other values of the same columns, and with cells spelt as people spell them."""
    if chance.random() < 0.4:
        for number in range(len(asked.query.conds)):
            asked = _swapped(asked, number, table, chance)
    if not is_restored:
        return asked
    spelt: dict[str, str] = {}
    for match in asked.matches:
        if isinstance(match.value, str):
            there = asked.text[match.start : match.stop]
            spelt.setdefault(match.value, there if same_words(there, match.value) else restored(match.value))
    matches = tuple(replace(match, value=spelt.get(match.value, match.value)) for match in asked.matches)
    conds = tuple((c, o, _spelt(v, spelt, asked.text)) for c, o, v in asked.query.conds)
    return replace(asked, matches=matches, query=replace(asked.query, conds=conds))


def _spelt(value: Any, spelt: Mapping[str, str], text: str) -> Any:
    if not isinstance(value, str) or value in spelt:
        return spelt.get(value, value)
    found = re.search(re.escape(value), text, re.IGNORECASE)
    return found[0] if found else restored(value)


def _swapped(asked: Asked, number: int, table: WikiSQLTable, chance: random.Random) -> Asked:
    """Return the question with another cell of its column in one condition; itself where the words don't allow it."""
    column, operator, value = asked.query.conds[number]
    places = [m for m in asked.matches if m.column == column and str(m.value).casefold() == str(value).casefold()]
    cells = sorted({str(row[column]) for row in table.rows if _is_a_value(row[column])} - {str(value)})
    if len(places) != 1 or not cells or not isinstance(places[0].value, str):
        return asked
    gone, new = places[0], chance.choice(cells)
    if sum(m.start < gone.stop and gone.start < m.stop for m in asked.matches) > 1:
        return asked  # another hint hangs on the same words
    text = asked.text[: gone.start] + new + asked.text[gone.stop :]
    moved = len(new) - (gone.stop - gone.start)
    stop = gone.start + len(new)
    matches = [
        replace(m, start=m.start + moved, stop=m.stop + moved) if m.start >= gone.stop else m
        for m in asked.matches
        if m is not gone
    ]
    named = [c for c in range(len(table.columns)) if any(str(row[c]) == new for row in table.rows)]
    matches += [Match(c, new, gone.start, stop) for c in named if c == column or table.types[c] == "text"]
    conds = list(asked.query.conds)
    conds[number] = (column, operator, new)
    matches.sort(key=lambda m: (m.start - m.stop, m.column))
    return Asked(text, replace(asked.query, conds=tuple(conds)), tuple(matches))


def _is_a_value(cell: Any) -> bool:
    return isinstance(cell, str) and 1 < len(cell) <= 40 and any(char.isalnum() for char in cell) and "\n" not in cell


def _conversation(
    asked: Asked, table: WikiSQLTable, place: Mapping[int, int], system: str, chance: random.Random
) -> Conversation:
    query = WikiSQLQuery(
        table.id, place[asked.query.sel], asked.query.agg, tuple((place[c], o, v) for c, o, v in asked.query.conds)
    )
    sql = to_sql(query, table)
    hints: tuple[str, ...] = ()
    if chance.random() < 0.92:
        shown = [match for match in asked.matches if match.column in place]
        named = (f"{identifier(table.columns[place[m.column]])} = {literal_text(m.value)}" for m in shown)
        hints = tuple(dict.fromkeys(named))
    return [*question_messages(system, asked.text, hints=hints), {"role": "assistant", "content": sql}]
