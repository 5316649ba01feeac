"""The part of a schema that a prompt shows for a question, when the whole is larger than the budget.

Schema and question go in; a smaller schema comes out, in the schema's own order, and what was left out. A table counts
by the question's words among its names and comments, rare words more than common ones, by the cells that the question
names, and by the tables next to it: foreign keys and columns that few tables share lead from one to the other, so that
joins stay possible. The same arguments give the same schema. Knows no model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations

from myna.databases import Column, Schema, Table
from myna.text2sql.chinese_words import spoken_in_chinese
from myna.text2sql.schema_text import Samples, schema_text
from myna.text2sql.values import ValueMatch
from myna.text2sql.words import is_han, name_words, singular, words

_OF_TABLE_NAME, _OF_COLUMN_NAME, _OF_COMMENT = 1.0, 0.8, 0.5
"""What a word of the question weighs by where it stands."""
_OF_CELL = 1.5
"""What a cell that the question names weighs, in words that stand in one table alone."""
_FROM_NEIGHBOUR = 0.4
"""The share of its weight that a table gives to the tables next to it, twice over."""
_FEW = 3
"""A column's name that at most so many tables share leads from one to the other."""
_WIDEST = 0.25
"""Of the budget: a table that takes more keeps its keys and the columns that matter most."""
_TOO_LARGE = 20
"""After so many tables that don't fit into what is left, no smaller one is looked for."""
_LEAST_PREFIX, _SAME_PREFIX = 4, 0.65
"""Words that begin alike, with so many letters and such a share of the longer one, are forms of one: enrolled,
enrolment. They count half."""


@dataclass(frozen=True, slots=True)
class Relevant:
    """What is shown, and the names of the tables and (by table) the columns that are not."""

    schema: Schema
    left_out_tables: tuple[str, ...] = ()
    left_out_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out."""
        return not self.left_out_tables and not self.left_out_columns


def relevant_schema(
    schema: Schema,
    question: str,
    *,
    budget: int,
    size: Callable[[str], int],
    samples: Samples | None = None,
    values: Sequence[ValueMatch] = (),
    dialect: str = "sqlite",
) -> Relevant:
    """Return the part of `schema` whose `schema_text` has at most the size `budget`: all of it where that fits.

    size: of a text, in tokens or bytes; a schema's is added up line by line. samples, dialect: as the text will be
    written with. values: the cells that the question names, from `ValueIndex.matches`. One table is shown even when
    its keys alone exceed the budget; a foreign key is, where its table is.
    """
    sizes = _Sizes(size, samples, dialect)
    if sizes.fit(schema.tables, budget):
        return Relevant(schema)
    known = _known(schema)
    of_tables, of_columns = _weights(schema, known, question, values)
    for _ in range(2):
        of_tables = [
            own + _FROM_NEIGHBOUR * max((of_tables[other] for other in known.links[place]), default=0.0)
            for place, own in enumerate(of_tables)
        ]
    ranked = sorted(range(len(of_tables)), key=lambda place: (-of_tables[place], -len(known.links[place]), place))
    shown: dict[int, Table] = {}
    left, widest, too_large = budget - sizes.always, int(_WIDEST * budget), 0
    for place in ranked:
        table = schema.tables[place]
        cost = sizes.of(table)
        if cost > widest:
            table = _narrowed(table, known.keys[place], of_columns[place], sizes, min(left, widest))
            cost = sizes.of(table)
        if cost <= left or not shown:
            shown[place] = table
            left -= cost
        else:
            too_large += 1
            if too_large == _TOO_LARGE:
                break
    return _result(schema, [shown[place] for place in sorted(shown)])


def nearest_tables(schema: Schema, question: str, *, count: int, values: Sequence[ValueMatch] = ()) -> Schema:
    """Return `schema` with at most `count` tables, those nearest to the question; itself where it has no more."""
    if len(schema.tables) <= count:
        return schema
    # a table takes a line, so that lines count tables
    return relevant_schema(schema, question, budget=count, size=lambda text: text.count("\n"), values=values).schema


class _Sizes:
    """Measures tables."""

    def __init__(self, size: Callable[[str], int], samples: Samples | None, dialect: str) -> None:
        self._size, self._samples, self._dialect = size, samples, dialect
        self.always = size("")  # what a tokenizer adds to every text

    def of(self, table: Table) -> int:
        line = schema_text(Schema((table,)), self._samples, dialect=self._dialect)
        return self._size(line + "\n") - self.always

    def fit(self, tables: Sequence[Table], budget: int) -> bool:
        total = self.always
        for table in tables:
            total += self.of(table)
            if total > budget:
                return False
        return True


@dataclass(frozen=True, slots=True)
class _Known:
    """A schema's words, its tables' neighbours and key columns, by place of the table."""

    words: Sequence[Mapping[str, float]]
    """What each word of a table weighs."""
    places: Mapping[str, Sequence[int]]
    """The tables in which a word stands."""
    links: Sequence[frozenset[int]]
    keys: Sequence[frozenset[str]]
    """Columns of the primary and foreign keys, also of those that refer to the table."""
    positions: Mapping[str, int]


@lru_cache(maxsize=4)
def _known(schema: Schema) -> _Known:
    weighed, places = list[dict[str, float]](), defaultdict[str, list[int]](list)
    for place, table in enumerate(schema.tables):
        weights: dict[str, float] = {}
        for weight, word in _words_of(table):
            weights[word] = max(weight, weights.get(word, 0.0))
        weighed.append(weights)
        for word in weights:
            places[word].append(place)
    positions = {table.name: place for place, table in enumerate(schema.tables)}
    keys = [set(table.primary_key) for table in schema.tables]
    pairs = set(_shared_columns(schema))
    for place, table in enumerate(schema.tables):
        for key in table.foreign_keys:
            keys[place].update(key.columns)
            if (other := positions.get(key.table)) is not None:
                keys[other].update(key.referenced_columns)
                pairs.add((place, other))
    links = [set[int]() for _ in schema.tables]
    for a, b in pairs:
        links[a].add(b)
        links[b].add(a)
    return _Known(weighed, places, [*map(frozenset, links)], [*map(frozenset, keys)], positions)


def _words_of(table: Table) -> Iterator[tuple[float, str]]:
    yield from ((_OF_TABLE_NAME, word) for word in _terms(table.name))
    yield from ((_OF_COMMENT, word) for word in _terms(table.comment))
    for column in table.columns:
        yield from ((_OF_COLUMN_NAME, word) for word in _terms(column.name))
        yield from ((_OF_COMMENT, word) for word in _terms(column.comment))


def _shared_columns(schema: Schema) -> Iterator[tuple[int, int]]:
    """Yield the tables that share a column's name with few others."""
    having = defaultdict[str, list[int]](list)
    for place, table in enumerate(schema.tables):
        for name in {column.name.casefold() for column in table.columns}:
            having[name].append(place)
    for tables in having.values():
        if len(tables) <= _FEW:
            yield from combinations(tables, 2)


def _terms(name: str) -> list[str]:
    """Return a name's words, also as Chinese questions have them; Chinese ones as pairs of characters."""
    own = name_words(name)
    return [*_paired(own), *(term for spoken in spoken_in_chinese(own) for term in _paired(spoken))]


def _asked_terms(question: str) -> list[str]:
    found = [singular(word.text) for word in words(question) if is_han(word.text) or not word.is_stop_word]
    alone = [word for word in found if is_han(word)]
    return list(dict.fromkeys([*_paired(found), *alone]))


def _paired(found: Sequence[str]) -> list[str]:
    """Put Chinese characters that stand in a row into pairs; one that stands alone stays so."""
    terms = []
    for place, word in enumerate(found):
        after = found[place + 1] if place + 1 < len(found) else ""
        if not is_han(word):
            terms.append(word)
        elif is_han(after):
            terms.append(word + after)
        elif not (place and is_han(found[place - 1])):
            terms.append(word)
    return terms


def _weights(
    schema: Schema, known: _Known, question: str, values: Sequence[ValueMatch]
) -> tuple[list[float], list[dict[str, float]]]:
    """Return what each table weighs for the question, and each of its columns."""
    number = len(schema.tables)
    of_tables = [0.0] * number
    of_columns: list[dict[str, float]] = [defaultdict(float) for _ in range(number)]
    alike: dict[str, float] = {}
    for term in _asked_terms(question):
        best: dict[int, float] = {}
        for word, likeness in _alike(term, known.places):
            rare = math.log(1 + number / len(known.places[word]))
            alike[word] = max(alike.get(word, 0.0), likeness * rare)
            for place in known.places[word]:
                best[place] = max(best.get(place, 0.0), likeness * rare * known.words[place][word])
        for place, weight in best.items():
            of_tables[place] += weight
    for match in values:
        if (found := known.positions.get(match.table)) is not None:
            of_columns[found][match.column] += _OF_CELL * match.score * math.log(1 + number)
            of_tables[found] += _OF_CELL * match.score * math.log(1 + number)
    for place, table in enumerate(schema.tables):
        for column in table.columns if of_tables[place] else ():
            of_columns[place][column.name] += _of_column(column, alike)
    return of_tables, of_columns


def _alike(term: str, vocabulary: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, float]]:
    """Yield the words of the schema that are the term, a form of it, or its beginning, and how surely."""
    if term in vocabulary:
        yield term, 1.0
    if len(term) < _LEAST_PREFIX or is_han(term[0]):
        return
    beginning = term[:3]
    for word in vocabulary:
        if word.startswith(beginning) and word != term:
            common = next(
                (n for n, (a, b) in enumerate(zip(word, term, strict=False)) if a != b), min(len(word), len(term))
            )
            is_form = common >= _LEAST_PREFIX and common >= _SAME_PREFIX * max(len(word), len(term))
            if is_form or common == len(word):  # "desc" for description
                yield word, 0.5


def _of_column(column: Column, alike: Mapping[str, float]) -> float:
    named = sum(alike.get(word, 0.0) for word in set(_terms(column.name)))
    commented = sum(alike.get(word, 0.0) for word in set(_terms(column.comment))) if column.comment else 0.0
    return named + _OF_COMMENT * commented


def _narrowed(table: Table, keys: frozenset[str], weights: Mapping[str, float], sizes: _Sizes, most: int) -> Table:
    """Return a table with its keys and as many of its other columns as fit, those first that matter most."""
    places = {column.name: place for place, column in enumerate(table.columns)}
    others = sorted(places.keys() - keys, key=lambda name: (-weights.get(name, 0.0), places[name]))
    # How many fit is found by halving: each more costs more.
    least, beyond = 0, len(others) + 1
    while beyond - least > 1:
        middle = (least + beyond) // 2
        if sizes.of(_with_columns(table, keys.union(others[:middle]))) <= most:
            least = middle
        else:
            beyond = middle
    return _with_columns(table, keys.union(others[: max(least, not keys)]))


def _with_columns(table: Table, names: frozenset[str]) -> Table:
    kept = tuple(column for column in table.columns if column.name in names)
    keys = tuple(key for key in table.foreign_keys if names.issuperset(key.columns))
    return replace(table, columns=kept, foreign_keys=keys)


def _result(schema: Schema, shown: Sequence[Table]) -> Relevant:
    """Drop what leads to nowhere, and say what is not shown."""
    having = {table.name: {column.name for column in table.columns} for table in shown}
    tables = []
    for table in shown:
        keys = (key for key in table.foreign_keys if having.get(key.table, set()) >= set(key.referenced_columns))
        tables.append(replace(table, foreign_keys=tuple(key for key in keys if key.table in having)))
    left_out = {
        table.name: tuple(column.name for column in table.columns if column.name not in having[table.name])
        for table in schema.tables
        if table.name in having
    }
    return Relevant(
        Schema(tuple(tables)),
        tuple(table.name for table in schema.tables if table.name not in having),
        {name: columns for name, columns in left_out.items() if columns},
    )
