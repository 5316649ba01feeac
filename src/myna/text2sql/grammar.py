"""A schema → the grammar of the queries that may come out: a subset of SELECT over exactly its tables and columns.

The grammar is text in llguidance's Lark dialect; `constraint.py` holds a model to it. Its surface is the one that
`surface.canonical` writes: keywords in capitals, one space, one table with bare column names, or two to four joined
tables `AS T1`, `AS T2` … with every column behind its alias. Every query of it prepares. Knows no tokens and no
database.

A context-free grammar can't bind `T2.name` among the chosen columns to a table that is named later. So the rules carry
64 bits along (llguidance's parametric rules): the table that each alias stands for, or none yet; how many columns were
chosen, for the second half of a UNION; how deep the subquery is; how many elements the lists have had. The rules go
from left to right, each ending in the next, so that what was said before is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from string import Template
from typing import TypeAlias

from myna.databases.schema import Schema, Table
from myna.errors import DatabaseError
from myna.text2sql.identifiers import is_plain, quoted, table_parts

Literal: TypeAlias = str | int | float
"""A value as it may stand in a condition: a text without its quotes, or a number."""

MAX_TABLES = 50
"""A grammar over more tables is refused: no prompt shows that many."""
FREE_JOINS = 10
"""Up to so many tables any may be joined. In a larger schema two can be joined when a foreign key leads from one to the
other, or a column of the same name that few tables have. Until FROM is read all combinations of tables that have the
columns so far are possible, and the parser's work grows with the square of their number."""
_FEW = 3

_ALIASES = 4
_SLOT = 10
"""Bits that name a table (0: none yet); alias `T1` has bits 0 to 9, `T2` 10 to 19 …"""
_WIDTH, _EXACT, _DEPTH, _SPENT, _SINGLE = 40, 45, 46, 48, 53
"""First bits of: columns chosen beyond the first (or still to be chosen); whether their number is given, as in a
subquery; depth of the subquery; elements that lists have had; whether there is one table, with bare column names."""
_UNCOUNTED = 31
"""The width of `*`."""
_EACH_ONCE = 4
"""Of so many values IN takes each once: a small model, led by the first, says it again."""
_COMPOUND_COLUMNS = 4
"""Columns that the halves of a UNION can have at most."""

_LIMITS = {
    "columns": "24",  # of a SELECT
    "elements": "24",  # of its other lists and conditions together
    "calculations": "4",  # among chosen columns behind aliases
    "subqueries": "2",  # within one another
    "text_length": "120",  # characters of a text value
}
_STATE = {
    "width": f"[{_WIDTH}:{_EXACT}]",
    "exact": str(_EXACT),
    "depth": f"[{_DEPTH}:{_SPENT}]",
    "spent": f"[{_SPENT}:{_SINGLE}]",
    "single": str(_SINGLE),
    "first_column": f"and(bit_clear({_EXACT}),eq([{_WIDTH}:{_EXACT}],0))",
    "all_columns": f"or(bit_clear({_EXACT}),eq([{_WIDTH}:{_EXACT}],0))",
    "may_spend": f"lt([{_SPENT}:{_SINGLE}],{_LIMITS['elements']})",
    "may_calculate": f"lt([{_SPENT}:{_SINGLE}],{_LIMITS['calculations']})",
    "may_order": f"or(bit_clear({_EXACT}),ne([{_DEPTH}:{_SPENT}],0))",
    "uncounted": hex(_UNCOUNTED << _WIDTH),
    "one_deep": hex(1 << _EXACT | 1 << _DEPTH),
    "two_deep": hex(1 << _EXACT | 2 << _DEPTH),
}

_RULES = r"""
start: " "? query ";"?
query: "SELECT " choice::0x0 | "SELECT " DISTINCT choice::0x0
core::_: "SELECT " choice::_ | "SELECT " DISTINCT choice::_
sub::_: core::$one_deep %if eq($depth,0) | core::$two_deep %if eq($depth,1)

item::_: STAR " FROM " table1::bit_or($uncounted) %if $first_column
    | "COUNT(*)" more::_
    | plain::_
    | FUNCTION inside::_
    | FUNCTION DISTINCT inside::_
more::_: ", " item::incr($width) %if and(bit_clear($exact),lt($width,$columns))
    | ", " item::decr($width) %if and(bit_set($exact),gt($width,0))
    | " FROM " table1::_ %if $all_columns
after_plain::_: more::_ | ARITHMETIC plain::incr($spent) %if $may_calculate
after_inside::_: ")" more::_ | ARITHMETIC inside::incr($spent) %if $may_calculate

joined::_: " JOIN " table2::_ | " LEFT JOIN " table2::_
on2::_: column1::_ " = " column2::_ after2::_ | column2::_ " = " column1::_ after2::_
on3::_: before3::_ " = " column3::_ after3::_ | column3::_ " = " before3::_ after3::_
on4::_: before4::_ " = " column4::_ after4::_ | column4::_ " = " before4::_ after4::_
before3::_: column1::_ | column2::_
before4::_: column1::_ | column2::_ | column3::_
after2::_: " AND " on2::incr($spent) %if $may_spend | JOIN table3::_ | tail::_ %if eq([20:40],0)
after3::_: " AND " on3::incr($spent) %if $may_spend | JOIN table4::_ | tail::_ %if eq([30:40],0)
after4::_: " AND " on4::incr($spent) %if $may_spend | tail::_

tail::_: " WHERE " condition::_ after_condition::_ | grouped::_
after_condition::_: CONNECTIVE condition::_ after_condition::incr($spent) %if $may_spend | grouped::_
condition::_: test::_
    | "(" test::_ CONNECTIVE test::_ ")"
    | "(" test::_ CONNECTIVE test::_ CONNECTIVE test::_ ")"
grouped::_: " GROUP BY " column::_ after_key::_ | ordered::_
after_key::_: ", " column::_ after_key::incr($spent) %if $may_spend
    | " HAVING " aggregate::_ group_test::_ after_group::_
    | group_ordered::_
after_group::_: CONNECTIVE aggregate::_ group_test::_ after_group::incr($spent) %if $may_spend | group_ordered::_
group_test::_: ANY_COMPARISON VALUE | ANY_COMPARISON nested::_ | BETWEEN VALUE " AND " VALUE
group_ordered::_: " ORDER BY " group_order::_ %if $may_order | limited::_
group_order::_: group_key::_ after_group_order::_ | group_key::_ DIRECTION after_group_order::_
group_key::_: aggregate::_ | expression::_
after_group_order::_: ", " group_order::incr($spent) %if $may_spend | cut
ordered::_: " ORDER BY " order::_ %if $may_order | limited::_
order::_: expression::_ after_order::_ | expression::_ DIRECTION after_order::_
after_order::_: ", " order::incr($spent) %if $may_spend | cut
cut: "" | " LIMIT " COUNT offset
limited::_: " LIMIT " COUNT offset %if $may_order | compound::_
offset: "" | " OFFSET " COUNT
compound::_: "" $compounds

column::_: single_column::_ %if bit_set($single)
    | column1::_ %if bit_clear($single)
    | column2::_
    | column3::_
    | column4::_
test::_: single_test::_ %if bit_set($single)
    | test1::_ %if bit_clear($single)
    | test2::_
    | test3::_
    | test4::_
aggregate::_: "COUNT(*)" | FUNCTION expression::_ ")" | FUNCTION DISTINCT expression::_ ")"
expression::_: column::_ | column::_ ARITHMETIC column::_
nested::_: "(" sub::_ ")" %if lt($depth,$subqueries)
free_test::_: EQUALITY VALUE | MEMBERSHIP VALUE (", " VALUE){0,15} ")" | LIKE TEXT | common_test::_
common_test::_: measured_test::_
    | ARITHMETIC column::_ measured_test::_
    | ARITHMETIC column::_ EQUALITY nested::_
    | EQUALITY column::_
    | EQUALITY nested::_
    | MEMBERSHIP sub::_ ")" %if lt($depth,$subqueries)
    | " IS NULL"
    | " IS NOT NULL"
measured_test::_: COMPARISON column::_ | COMPARISON nested::_ $measures

STAR: "*" | "T1.*" | "T2.*"
DISTINCT: "DISTINCT "
FUNCTION: "COUNT(" | "SUM(" | "AVG(" | "MIN(" | "MAX("
ARITHMETIC: " + " | " - " | " * " | " / "
JOIN: " JOIN " | " LEFT JOIN "
CONNECTIVE: " AND " | " OR "
EQUALITY: " = " | " <> " | " != "
COMPARISON: " < " | " > " | " <= " | " >= "
ANY_COMPARISON: EQUALITY | COMPARISON
MEMBERSHIP: " IN (" | " NOT IN ("
LIKE: " LIKE " | " NOT LIKE "
BETWEEN: " BETWEEN " | " NOT BETWEEN "
DIRECTION: " ASC" | " DESC"
SET_OPERATION: " UNION " | " UNION ALL " | " INTERSECT " | " EXCEPT "
COUNT: /[1-9][0-9]{0,5}/
NUMBER: /-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?(e[+-]?[0-9]{1,2})?/
TEXT: /'([^'$forbidden]|''){0,$text_length}'/
VALUE: NUMBER | TEXT | "TRUE" | "FALSE"
"""


@dataclass(frozen=True)
class Values:
    """What conditions may compare columns with, where that is limited (decoding constrained by content).

    equal: for a column (table, column), what it may be equal or unequal to or in; with an empty list it can't stand in
    such conditions, nor before LIKE. A column that is not named takes any value. compared: what every column may be
    less, greater or between; None takes any value.
    """

    equal: Mapping[tuple[str, str], Sequence[Literal]] = field(default_factory=dict)
    compared: Sequence[Literal] | None = None


def grammar(schema: Schema, *, dialect: str = "sqlite", values: Values | None = None) -> str:
    """Return the grammar of the queries over `schema`; kept for the schemas asked for last.

    dialect: sqlglot's name of the database's SQL, which decides how names and texts are quoted. values: what conditions
    may compare columns with; None leaves them free. Raises `DatabaseError` when there is no table with a column, or
    when there are more than `MAX_TABLES`.
    """
    if values is None:
        return _free_grammar(schema, dialect)
    return _written(schema, dialect, values)


@lru_cache(maxsize=256)
def _free_grammar(schema: Schema, dialect: str) -> str:
    return _written(schema, dialect, Values())


def literal_text(value: Literal, dialect: str = "sqlite") -> str:
    """Return a value as it stands in a query: `'it''s'`, `3.5`."""
    if not isinstance(value, str):
        return repr(value)
    text = value.replace("\\", "\\\\") if dialect == "mysql" else value
    return "'" + text.replace("'", "''") + "'"


def _written(schema: Schema, dialect: str, values: Values) -> str:
    tables = [table for table in schema.tables if table.columns]
    if not tables:
        raise DatabaseError("the database has no table with a column, so there is nothing that SQL could ask for")
    if len(tables) > MAX_TABLES:
        raise DatabaseError(
            f"the schema has {len(tables)} tables, and decoding constrained by it takes at most {MAX_TABLES}; "
            "give it the tables that the prompt shows"
        )
    parts = [_common(dialect, values), *_choices(tables)]
    for number, table in enumerate(tables, 1):
        parts += _table_rules(number, table, dialect, values)
    return "\n".join(parts) + "\n"


def _common(dialect: str, values: Values) -> str:
    """The rules that don't name a table."""
    compounds = "".join(
        f"\n    | SET_OPERATION core::{1 << _EXACT | width << _WIDTH:#x}"
        f" %if and(eq({_STATE['depth']},0),and(bit_clear({_EXACT}),eq({_STATE['width']},{width})))"
        for width in range(_COMPOUND_COLUMNS)
    )
    compared = values.compared if values.compared is None else list(values.compared)
    measures = "" if compared == [] else '\n    | COMPARISON MEASURE\n    | BETWEEN MEASURE " AND " MEASURE'
    measure = "VALUE" if compared is None else _alternatives(literal_text(value, dialect) for value in compared)
    rules = Template(_RULES).substitute(
        _LIMITS,
        **_STATE,
        compounds=compounds,
        measures=measures,
        # MySQL reads a backslash in a text as an escape.
        forbidden=r"\x00-\x1f\x7f\\" if dialect == "mysql" else r"\x00-\x1f\x7f",
    )
    return f"{rules}MEASURE: {measure}" if measures else rules


def _choices(tables: Sequence[Table]) -> list[str]:
    """The rules in which tables are alternatives: one for each, with the state in which it may come."""
    numbers = range(1, len(tables) + 1)
    steps = _steps(tables) if len(tables) > FREE_JOINS else None
    parts = [_rule("choice::_", ["item::_", *(f"single_{n}::_" for n in numbers)])]
    for name, tested in (("single_column", "COLUMNS_{n}"), ("single_test", "test_{n}::_")):
        parts.append(_rule(f"{name}::_", [f"{tested.format(n=n)} %if {_is(1, n)}" for n in numbers]))
    aliases = [(alias, n) for alias in range(1, _ALIASES + 1) for n in numbers]
    for name in ("plain", "inside"):
        taken = [
            f'"T{a}." COLUMNS_{n} after_{name}::bit_or({_set(a, n)}) %if {_may_be(a, n, steps)}' for a, n in aliases
        ]
        parts.append(_rule(f"{name}::_", taken))
    for a in range(1, _ALIASES + 1):
        after = '" AS T1" joined' if a == 1 else f'" AS T{a} ON " on{a}'
        named = [f"TABLE_{n} {after}::bit_or({_set(a, n)}) %if {_may_be(a, n, steps)}" for n in numbers]
        parts.append(_rule(f"table{a}::_", named))
        parts.append(_rule(f"column{a}::_", [f'"T{a}." COLUMNS_{n} %if {_is(a, n)}' for n in numbers]))
        parts.append(_rule(f"test{a}::_", [f'"T{a}." test_{n}::_ %if {_is(a, n)}' for n in numbers]))
    return parts


def _table_rules(n: int, table: Table, dialect: str, values: Values) -> list[str]:
    """The rules of one table: its names, what is chosen from it alone, and the tests of its columns."""
    columns = {column.name: _spellings([column.name], dialect) for column in table.columns}
    kinds = {column.name: column.kind for column in table.columns}
    limited = {name: values.equal[table.name, name] for name in columns if (table.name, name) in values.equal}
    free = [spelling for name in columns if name not in limited for spelling in columns[name]]
    only = _set(1, n) | 1 << _SINGLE
    state = _STATE
    parts = [
        f"TABLE_{n}: {_alternatives(_spellings(table_parts(table.name, dialect), dialect))}",
        f"COLUMNS_{n}: {_alternatives(spelling for each in columns.values() for spelling in each)}",
        f"expression_{n}: COLUMNS_{n} | COLUMNS_{n} ARITHMETIC COLUMNS_{n}",
        f'item_{n}: "COUNT(*)" | expression_{n} | FUNCTION expression_{n} ")" | FUNCTION DISTINCT expression_{n} ")"',
        f"single_{n}::_: item_{n} more_{n}::_"
        f' | "*" " FROM " TABLE_{n} tail::bit_or({only | _UNCOUNTED << _WIDTH:#x}) %if {state["first_column"]}',
        f'more_{n}::_: ", " single_{n}::incr({state["width"]})'
        f" %if and(bit_clear({_EXACT}),lt({state['width']},{_LIMITS['columns']}))"
        f' | ", " single_{n}::decr({state["width"]}) %if and(bit_set({_EXACT}),gt({state["width"]},0))'
        f' | " FROM " TABLE_{n} tail::bit_or({only:#x}) %if {state["all_columns"]}',
    ]
    tests = [f"FREE_{n} free_test::_"] if free else []
    if free:
        parts.append(f"FREE_{n}: {_alternatives(free)}")
    for c, (name, allowed) in enumerate(limited.items()):
        column, value = f"COLUMN_{n}_{c}", f"VALUE_{n}_{c}"
        parts.append(f"{column}: {_alternatives(columns[name])}")
        tests.append(f"{column} common_test::_")
        if allowed:
            parts.append(f"{value}: {_alternatives(literal_text(each, dialect) for each in allowed)}")
            parts += _members(f"members_{n}_{c}", value, allowed, dialect)
            tests += [f"{column} EQUALITY {value}", f"{column} MEMBERSHIP members_{n}_{c}"]
        if kinds[name] in ("text", "date"):  # a part of a value is no value that could be looked up
            tests.append(f"{column} LIKE TEXT")
    parts.append(_rule(f"test_{n}::_", tests))
    return parts


def _members(name: str, value: str, allowed: Sequence[Literal], dialect: str) -> list[str]:
    """The rules of what stands behind IN: each value once, where they are so few that every choice has its own rule."""
    if len(allowed) > _EACH_ONCE:
        return [f'{name}: {value} (", " {value}){{0,15}} ")"']
    texts = {
        1 << place: json.dumps(literal_text(each, dialect), ensure_ascii=False) for place, each in enumerate(allowed)
    }
    every = (1 << len(allowed)) - 1
    rules = []
    for left in range(every, 0, -1):
        rest = {bit: f'(")" | ", " {name}_{left - bit})' if left != bit else '")"' for bit in texts if left & bit}
        rules.append(_rule(name if left == every else f"{name}_{left}", (f"{texts[bit]} {rest[bit]}" for bit in rest)))
    return rules


def _rule(name: str, alternatives: Iterable[str]) -> str:
    return f"{name}: " + "\n    | ".join(alternatives)


def _alternatives(texts: Iterable[str]) -> str:
    return " | ".join(json.dumps(text, ensure_ascii=False) for text in dict.fromkeys(texts))


def _spellings(parts: Sequence[str], dialect: str) -> list[str]:
    """All ways to write a name: plain where that is safe, and quoted."""
    each = [[part, quoted(part, dialect)] if is_plain(part, dialect) else [quoted(part, dialect)] for part in parts]
    return [".".join(chosen) for chosen in product(*each)]


def _slot(alias: int) -> str:
    return f"[{_SLOT * (alias - 1)}:{_SLOT * alias}]"


def _set(alias: int, table: int) -> int:
    return table << _SLOT * (alias - 1)


def _is(alias: int, table: int) -> str:
    return f"eq({_slot(alias)},{table})"


def _may_be(alias: int, table: int, steps: Sequence[Sequence[int]] | None) -> str:
    """The state in which an alias can stand for a table: it does, or stands for none yet and can be joined."""
    condition = f"or(eq({_slot(alias)},0),{_is(alias, table)})"
    for other in range(1, _ALIASES + 1) if steps is not None else ():
        if steps is not None and other != alias:
            # The k-th table joins one before it, so it is at most k - 1 steps from any of them.
            near = [n for n, far in enumerate(steps[table - 1], 1) if far < max(alias, other)]
            condition = f"and({condition},{_any_of(other, [0, *near])})"
    return condition


def _any_of(alias: int, tables: Sequence[int]) -> str:
    """Whether the alias stands for one of `tables`, as ranges of their numbers."""
    slot, ranges = _slot(alias), list[list[int]]()
    for table in tables:
        if ranges and table == ranges[-1][1] + 1:
            ranges[-1][1] = table
        else:
            ranges.append([table, table])
    tests = [f"eq({slot},{a})" if a == b else f"and(ge({slot},{a}),le({slot},{b}))" for a, b in ranges]
    condition = tests[0]
    for test in tests[1:]:
        condition = f"or({condition},{test})"
    return condition


def _steps(tables: Sequence[Table]) -> list[list[int]]:
    """How many joins lead from each table to each, `_ALIASES` for too many."""
    numbers = {table.name.casefold(): n for n, table in enumerate(tables)}
    links: list[set[int]] = [set() for _ in tables]
    shared: dict[str, list[int]] = {}
    for n, table in enumerate(tables):
        for name in {column.name.casefold() for column in table.columns}:
            shared.setdefault(name, []).append(n)
    pairs = [(n, numbers.get(key.table.casefold(), n)) for n, table in enumerate(tables) for key in table.foreign_keys]
    pairs += [pair for group in shared.values() if len(group) <= _FEW for pair in product(group, group)]
    for a, b in pairs:
        links[a].add(b)
        links[b].add(a)
    return [_steps_from(n, links) for n in range(len(tables))]


def _steps_from(start: int, links: Sequence[set[int]]) -> list[int]:
    steps = [_ALIASES] * len(links)
    steps[start], reached = 0, {start}
    for step in range(1, _ALIASES):
        reached = {b for a in reached for b in links[a] if steps[b] == _ALIASES}
        for each in reached:
            steps[each] = step
    return steps
