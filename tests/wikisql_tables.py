"""Tables and queries in WikiSQL's form, for the tests: made by hypothesis, by hand, and read from the real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters

import pytest
from hypothesis import strategies as st

from myna.text2sql.wikisql import WikiSQLQuery, WikiSQLTable, read_questions, read_tables

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = SHARED / "wikisql"
needs_real_files = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/wikisql")

HEADERS = ["name", "Name", "max", "COUNT name", "a = b", "a", "x AND y", "from", "Rank FROM top", 'the "best"', "it's"]
HEADERS += ["", "名前", "No.", "WHERE", "select", "no - yds", "Straße", "`tick`", "[box]", "a > b AND c", "a, b", "1"]
VALUES = [
    "Guard",
    "O'Brien",
    "'quoted'",
    '"x"',
    "a = b",
    "A AND B",
    "it''s",
    "5",
    "5.0",
    "1,234",
    "–",
    "$5",
    "中文",
    "a;b",
]
VALUES += ["x AND name = 5", " padded ", "two\nlines", "back\\slash", "-- comment", "/* c */", "%", "NULL", ""]

names = st.sampled_from(HEADERS) | st.text(ascii_letters + " =<>'\"`().,_-é名", max_size=12)
plain_names = st.sampled_from(
    ["name", "Name", "max", "count name", "a, b", "from", "No.", "it's", "Straße", "名前", "", "1"]
)
texts = st.sampled_from(VALUES) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
table_ids = st.sampled_from(["1-10015132-16", "2-1-1", "students", "order", 'odd "id"', "Ünicode id", "1.5", "sqlite"])


@st.composite
def tables(
    draw: st.DrawFn,
    *,
    rows: int = 0,
    names: st.SearchStrategy[str] = names,
    table_ids: st.SearchStrategy[str] = table_ids,
) -> WikiSQLTable:
    """A table of one to five columns, usually with names that are hard to tell from SQL and from each other."""
    header = tuple(draw(st.lists(names, min_size=1, max_size=5)))
    types = tuple(draw(st.sampled_from(["text", "real"])) for _ in header)
    cells = [st.none() | (texts if kind == "text" else numbers | texts) for kind in types]
    return WikiSQLTable(draw(table_ids), header, types, draw(st.lists(st.tuples(*cells), max_size=rows)))


@st.composite
def tables_and_queries(
    draw: st.DrawFn,
    *,
    rows: int = 0,
    names: st.SearchStrategy[str] = names,
    table_ids: st.SearchStrategy[str] = table_ids,
) -> tuple[WikiSQLTable, WikiSQLQuery]:
    """A table and a query on it, some of whose values are the table's own."""
    table = draw(tables(rows=rows, names=names, table_ids=table_ids))
    columns = st.integers(0, len(table.header) - 1)
    own = [cell for row in table.rows for cell in row if cell is not None]
    values = texts | numbers | (st.sampled_from(own) if own else st.nothing())
    conditions = st.lists(st.tuples(columns, st.integers(0, 2), values), max_size=4)
    return table, WikiSQLQuery(table.id, draw(columns), draw(st.integers(0, 5)), tuple(draw(conditions)))


PLAYERS = WikiSQLTable(
    "1-10015132-16",
    ("Player", "No.", "Nationality", "Position", "Years in Toronto", "School/Club Team"),
    ("text", "real", "text", "text", "text", "text"),
    [
        ["Aleksandar Radojević", 25, "Serbia", "Center", "1999-2000", "Barton CC (KS)"],
        ["Shawn Respert", 31, "United States", "Guard", "1997-98", "Michigan State"],
        ["Quentin Richardson", "–", "United States", "Forward", "2013-present", "DePaul"],
        ["Jalen Rose", 5, "United States", "Guard-forward", "2003-06", "Michigan"],
        ["Terrence Ross", 31.5, "United States", "Guard", "2012-present", "Washington"],
        ["Patrick O'Bryant", None, "United States", "Center", "2009-10", "Bradley"],
        ["Robert Archibald", 5, "SCOTLAND", "Guard", "2004", "Illinois"],
    ],
)


def real_questions(stem: str) -> Iterator[tuple[WikiSQLTable, WikiSQLQuery]]:
    """Every query of a real file with its table."""
    by_id = {table.id: table for table in read_tables(REAL / f"{stem.partition('.')[0]}.tables.jsonl")}
    for question in read_questions(REAL / f"{stem}.jsonl"):
        yield by_id[question.query.table_id], question.query
