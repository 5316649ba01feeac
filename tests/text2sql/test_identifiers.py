"""A name that may stand plainly is read as that name, by SQLite and by sqlglot."""

from __future__ import annotations

import sqlite3

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from myna.text2sql.identifiers import identifier, is_plain, quoted, table_identifier

WORDS = sorted(
    {
        word
        for dialect in ("sqlite", "postgres", "mysql", "duckdb")
        for word in Dialect[dialect].tokenizer_class.KEYWORDS
    }
    | {"NAME", "YEAR", "ID", "USER", "TYPE", "RANK", "COUNT", "MAX", "SUM", "STATUS", "CLASS", "T1", "姓名", "ÄRA"}
)


@pytest.mark.parametrize("sql", [
    "SELECT {0} FROM {0} WHERE {0} = 1 ORDER BY {0} DESC",
    "SELECT COUNT(DISTINCT {0}), {0} - b FROM {0} GROUP BY {0} HAVING SUM({0}) > 2",
    "SELECT T1.{0} FROM {0} AS T1 JOIN {0} AS T2 ON T1.{0} = T2.{0} WHERE T1.{0} IN (SELECT {0} FROM {0})",
    "SELECT b, {0} FROM {0} WHERE b - {0} > 2 AND {0} IS NOT NULL ORDER BY b, {0}",
])  # fmt: skip
def test_every_plain_word_is_read_as_a_name(sql: str) -> None:
    plain = [form for word in WORDS for form in (word, word.lower()) if is_plain(form)]
    assert len(plain) > 50
    for name in plain:
        connection = sqlite3.connect(":memory:")
        connection.execute(f"CREATE TABLE {quoted(name)} ({quoted(name)}, b)")
        connection.execute(sql.format(name))
        connection.close()
        tree = sqlglot.parse_one(sql.format(name), dialect="sqlite")
        assert {column.name for column in tree.find_all(exp.Column)} - {"b"} == {name}
        assert {table.name for table in tree.find_all(exp.Table)} == {name}


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_finds_its_column(name: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({quoted(name)})")
    connection.execute("INSERT INTO t VALUES (7)")
    assert connection.execute(f"SELECT T1.{identifier(name)} FROM t AS T1").fetchall() == [(7,)]
    connection.close()


def test_dialects_have_their_own_quotes_and_rules() -> None:
    assert identifier("Name", "postgres") == '"Name"'
    assert identifier("name", "postgres") == "name"
    assert identifier("two `words`", "mysql") == "`two ``words```"
    assert table_identifier("sales.Order", "postgres") == 'sales."Order"'
    assert table_identifier("sales.order", "sqlite") == '"sales.order"'
