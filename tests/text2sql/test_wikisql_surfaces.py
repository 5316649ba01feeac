"""SQL in both styles gives the same query back, whatever tables and values hold."""

from __future__ import annotations

import json
import re
import sqlite3

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from myna.errors import DataError, QueryError
from myna.text2sql.identifiers import quoted
from myna.text2sql.wikisql import (
    SqlStyle,
    WikiSQLQuery,
    WikiSQLTable,
    from_sql,
    read_questions,
    read_tables,
    same_query,
    text_prompt,
    to_sql,
)
from wikisql_tables import (
    PLAYERS,
    REAL,
    SHARED,
    needs_real_files,
    plain_names,
    real_questions,
    tables,
    tables_and_queries,
)

GUARDS = WikiSQLQuery(PLAYERS.id, 0, 3, ((3, 0, "Guard"),))


def exactly(query: WikiSQLQuery) -> str:
    """5, 5.0 and '5' are different values here."""
    return repr(query)


@settings(deadline=None)
@given(tables_and_queries())
def test_executable_sql_of_any_query_reads_back_exactly(made: tuple[WikiSQLTable, WikiSQLQuery]) -> None:
    table, query = made
    assert exactly(from_sql(to_sql(query, table), table)) == exactly(query)


@settings(deadline=None)
@given(tables_and_queries(names=plain_names, table_ids=st.just("1-10015132-16")))
def test_the_papers_surface_of_any_query_reads_back_unless_a_value_looks_like_a_condition(
    made: tuple[WikiSQLTable, WikiSQLQuery],
) -> None:
    table, query = made
    assume(not any(re.search(r"\sAND\s", str(value), re.IGNORECASE) for _, _, value in query.conds))
    assert same_query(from_sql(to_sql(query, table, "wikisql"), table), query)


@settings(deadline=None)
@given(tables())
def test_every_column_has_a_name_of_its_own_that_a_database_takes(table: WikiSQLTable) -> None:
    columns = ", ".join(quoted(name) for name in table.columns)
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE t ({columns})")
        assert [row[1] for row in database.execute("PRAGMA table_info(t)")] == list(table.columns)
    database.close()
    assert len(table.positions) == len(table.header)


def test_a_repeated_header_gets_a_number_and_an_empty_one_its_place() -> None:
    header = ("name", "Name", "", "name 2", "column 3", "a\tb", " name ")
    table = WikiSQLTable("t", header, ("text",) * 7)
    assert table.columns == ("name", "Name 3", "column 3 2", "name 2", "column 3", "a b", "name 4")


def test_the_two_styles_are_those_of_databases_and_of_the_papers() -> None:
    query = WikiSQLQuery(PLAYERS.id, 0, 3, ((3, 0, "Guard"), (1, 1, 5), (0, 0, "O'Brien")))
    assert to_sql(query, PLAYERS) == (
        """SELECT COUNT(Player) FROM "1-10015132-16" WHERE Position = 'Guard' AND "No." > 5 AND Player = 'O''Brien'"""
    )
    assert to_sql(query, PLAYERS, "wikisql") == (
        "SELECT COUNT Player FROM 1-10015132-16 WHERE Position = 'Guard' AND No. > 5 AND Player = 'O'Brien'"
    )
    assert to_sql(WikiSQLQuery(PLAYERS.id, 4, 0), PLAYERS, "wikisql") == "SELECT Years in Toronto FROM 1-10015132-16"


@pytest.mark.parametrize(
    "sql",
    [
        """SELECT COUNT("Player") FROM "1-10015132-16" WHERE "Position" = 'Guard'""",
        """select count(player) from [1-10015132-16] where position == 'Guard';""",
        """SELECT COUNT(t."Player") AS n FROM "1-10015132-16" AS t WHERE ('Guard' = t.Position)""",
        "SELECT COUNT Player FROM 1-10015132-16 WHERE Position = 'Guard'",
        "SELECT COUNT Player FROM 1-10015132-16 WHERE Position = Guard",
        "select count player from 1-10015132-16 where position = Guard ;",
        "SELECT COUNT(Player) FROM 1-10015132-16 WHERE Position = Guard",
        "\n SELECT COUNT Player\nFROM 1-10015132-16\nWHERE Position = 'Guard';\n",
    ],
)
def test_spellings_of_one_query_are_read_as_that_query(sql: str) -> None:
    assert from_sql(sql, PLAYERS) == GUARDS


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("Player = 'Patrick O'Bryant' AND No. = 5", ((0, 0, "Patrick O'Bryant"), (1, 0, 5))),
        ("Player = 'A AND No. = 5' AND No. = 5", ((0, 0, "A AND No. = 5"), (1, 0, 5))),
        ("Player = A and B AND No. < -5.5", ((0, 0, "A and B"), (1, 2, -5.5))),
        ("No. = –", ((1, 0, "–"),)),
        ("No. = '5'", ((1, 0, "5"),)),
        ("Years in Toronto = 1999", ((4, 0, "1999"),)),
        ("Player = 's-Hertogenbosch", ((0, 0, "'s-Hertogenbosch"),)),
    ],
)
def test_values_of_the_papers_surface_end_where_a_condition_begins(text: str, conditions: tuple[object, ...]) -> None:
    assert exactly(from_sql(f"SELECT Player FROM 1-10015132-16 WHERE {text}", PLAYERS)) == exactly(
        WikiSQLQuery(PLAYERS.id, 0, 0, conditions)  # type: ignore[arg-type]
    )


def test_of_two_names_that_fit_the_longest_is_read() -> None:
    table = WikiSQLTable("1-2", ("gross weight", "max gross weight", "a", "a = b", "x from 1-2"), ("real",) * 5)
    assert from_sql("SELECT max gross weight FROM 1-2", table) == WikiSQLQuery("1-2", 1, 0)
    assert from_sql("SELECT MAX gross weight FROM 1-2", table) == WikiSQLQuery("1-2", 0, 1)
    assert from_sql("SELECT a FROM 1-2 WHERE a = b = 5", table) == WikiSQLQuery("1-2", 2, 0, ((3, 0, 5),))
    assert from_sql("SELECT a FROM 1-2 WHERE a = b", table) == WikiSQLQuery("1-2", 2, 0, ((2, 0, "b"),))
    assert from_sql("SELECT x from 1-2 FROM 1-2", table) == WikiSQLQuery("1-2", 4, 0)


@pytest.mark.parametrize(
    ("sql", "kind", "part"),
    [
        ('SELECT "Plyer" FROM "1-10015132-16"', "unknown column", "did you mean 'Player'"),
        ("SELECT Plyer FROM 1-10015132-16", "unknown column", "did you mean 'Player'"),
        ("""SELECT "Player" FROM "1-10015132-16" WHERE "Position" = "Guard" """, "unknown column", "'Guard'"),
        ("SELECT Player FROM 1-10015132-16 WHERE Positon = Guard", "unknown column", "'Positon'"),
        ('SELECT "Player" FROM "players"', "unknown table", "expected '1-10015132-16'"),
        ("SELECT Player FROM 1-999-9 WHERE No. = 5", "unknown table", "expected '1-10015132-16'"),
        ('SELECT "Player", "No." FROM "1-10015132-16"', "refused", "one column, found 2"),
        ('SELECT * FROM "1-10015132-16"', "refused", "found STAR"),
        ('SELECT COUNT(*) FROM "1-10015132-16"', "refused", "found STAR"),
        ('SELECT COUNT(DISTINCT "Player") FROM "1-10015132-16"', "refused", "found DISTINCT"),
        ('SELECT DISTINCT "Player" FROM "1-10015132-16"', "refused", "no DISTINCT"),
        ('SELECT "Player" FROM "1-10015132-16" ORDER BY "No." LIMIT 1', "refused", "no "),
        ('SELECT "Player" FROM "1-10015132-16" WHERE "No." >= 5', "refused", "found GTE"),
        ('SELECT "Player" FROM "1-10015132-16" WHERE "No." = 5 OR "No." = 6', "refused", "found OR"),
        ('SELECT "Player" FROM "1-10015132-16" WHERE "No." = NULL', "refused", "found NULL"),
        ('SELECT "Player" FROM "1-10015132-16" WHERE "No." = 1e999', "refused", "a text or number"),
        (f'SELECT "Player" FROM "1-10015132-16" WHERE "No." = {"9" * 5000}', "refused", "a text or number"),
        ('SELECT a."Player" FROM "1-10015132-16" a, "1-10015132-16" b', "refused", "no JOIN"),
        ('SELECT "Player" FROM (SELECT 1)', "refused", "FROM one table"),
        ('SELECT "Player"', "refused", "FROM one table"),
        ('DELETE FROM "1-10015132-16"', "refused", "DELETE is not a query"),
        ("SELECT Player FROM 1-10015132-16 HAVING x", "syntax", "expected WHERE or the end"),
        ("SELECT COUNT COUNT (", "syntax", ""),
        ("I don't know", "syntax", ""),
        ("", "syntax", ""),
        ("(" * 5000, "syntax", ""),
        ("SELECT " + "1+" * 2000 + '1 FROM "1-10015132-16"', "refused", "found ADD"),
    ],
)
def test_what_is_no_wikisql_query_is_refused_with_the_reason(sql: str, kind: str, part: str) -> None:
    with pytest.raises(QueryError) as caught:
        from_sql(sql, PLAYERS)
    assert caught.value.kind == kind
    assert part in str(caught.value)


def test_a_query_beyond_its_table_has_no_sql() -> None:
    with pytest.raises(DataError, match="column 6 of table 1-10015132-16, which has 6 columns"):
        to_sql(WikiSQLQuery(PLAYERS.id, 0, 0, ((6, 0, "x"),)), PLAYERS)


def different(stem: str, style: SqlStyle) -> list[WikiSQLQuery]:
    """The queries of a real file that do not read back exactly."""
    return [query for table, query in real_questions(stem) if not reads_back(query, table, style)]


def reads_back(query: WikiSQLQuery, table: WikiSQLTable, style: SqlStyle) -> bool:
    return exactly(from_sql(to_sql(query, table, style), table)) == exactly(query)


@needs_real_files
@pytest.mark.slow
@pytest.mark.parametrize("style", ["executable", "wikisql"])
@pytest.mark.parametrize("stem", ["train", "train.exec", "test_a.exec"])
def test_every_query_of_the_data_set_reads_back_exactly(stem: str, style: SqlStyle) -> None:
    assert different(stem, style) == []


@needs_real_files
@pytest.mark.parametrize("style", ["executable", "wikisql"])
def test_every_test_query_reads_back_exactly(style: SqlStyle) -> None:
    assert different("test_a", style) == []


@needs_real_files
def test_the_text_of_the_mlx_example_is_met_byte_for_byte() -> None:
    by_id = {table.id: table for table in read_tables(REAL / "test_a.tables.jsonl")}
    made = set()
    for question in read_questions(REAL / "test_a.jsonl"):
        table = by_id[question.query.table_id]
        made.add(f"{text_prompt(question.question, table)} {to_sql(question.query, table, 'wikisql')}")
    published = {text for text in mlx_texts() if text.split("\n")[0].removeprefix("table: ") in by_id}
    assert len(published & made) >= 37
    # This table's numbers are texts in the MLX example's copy of the data set.
    assert {text.split("\n")[0] for text in published - made} == {"table: 1-10753917-1"}


@needs_real_files
def test_every_text_of_the_mlx_example_reads_back() -> None:
    unread = 0
    for text in mlx_texts():
        name, header, _, answer = text.split("\n")
        columns, sql = tuple(header.removeprefix("columns: ").split(", ")), answer.removeprefix("A: ")
        types = tuple("text" if f"{column} = '" in sql else "real" for column in columns)
        table = WikiSQLTable(name.removeprefix("table: "), columns, types)
        try:
            assert to_sql(from_sql(sql, table), table, "wikisql") == sql
        except QueryError:
            unread += 1
            assert "," in sql  # the text does not say which commas belong to a header
    assert unread < 20


def mlx_texts() -> list[str]:
    return [
        json.loads(line)["text"]
        for split in ("train", "valid", "test")
        for line in (SHARED / "mlx_wikisql" / f"{split}.jsonl").read_text("utf-8").splitlines()
    ]
