"""Double-quoted names in backticks: the same query for SQLite, but never a text."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases.sqlite_names import double_quoted_names, with_backticks

COLUMNS = ["a", 'b"c', "d`e", "f]g", "it's", "--h", "/*i*/", "名 前", "select"]
NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)


def double_quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def backticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


FRAGMENTS = [
    *map(double_quoted, COLUMNS),
    *map(backticked, COLUMNS),
    *("[a]", '[b"c]', "'a \"b\" c'", "'it''s \"'", "''", "x'22'", "-- \"a'\n", '/* "a" */', '/*"*/', "-", "/", "*"),
    *(",", " ", "||", " AS ", "(", ")", "1", '"', "'", "`", "[", "\n", "FROM", "->", "."),
]


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({', '.join(map(backticked, COLUMNS))})")
    connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", [f"<{name}>" for name in COLUMNS])
    return connection


def answer(connection: sqlite3.Connection, sql: str) -> list[tuple[object, ...]] | str:
    """Return the rows, or what is wrong."""
    try:
        return connection.execute(sql).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        return str(error)


def check_both_readings(connection: sqlite3.Connection, sql: str) -> None:
    before, after = answer(connection, sql), answer(connection, with_backticks(sql))
    if isinstance(before, str):
        assert isinstance(after, str)
    else:  # the one difference: a name in double quotes that is no column was a text, and is an error now
        assert after == before or after in {f"no such column: {name}" for name in double_quoted_names(sql)}


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join))
def test_what_stands_around_quoted_names_keeps_its_meaning(text: str) -> None:
    for sql in (f"SELECT {text} FROM t", f"SELECT 1 FROM t WHERE {text}", text):
        with closing(table()) as connection:
            check_both_readings(connection, sql)


@given(st.text("a\"'`[]-/*\n ", max_size=20))
def test_any_characters_keep_their_meaning(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        check_both_readings(connection, f"SELECT {text}")


@given(NAMES)
def test_a_name_that_is_no_column_is_an_error_and_never_a_text(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (x)")
        if name.lower() in ("x", "rowid", "oid", "_rowid_"):
            return
        quoted = with_backticks(f"SELECT {double_quoted(name)} FROM t")
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            connection.execute(quoted)


@given(NAMES)
def test_a_quoted_name_is_found_whatever_stands_in_it(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({backticked(name)})")
        connection.execute("INSERT INTO t VALUES (7)")
        assert answer(connection, with_backticks(f"SELECT {double_quoted(name)} FROM t")) == [(7,)]
        assert list(double_quoted_names(f'SELECT \'x"y"\', {double_quoted(name)} -- "z"')) == [name]
