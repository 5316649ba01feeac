"""SQL text is cut as the servers cut it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases.tokens import (
    check_can_be_read,
    check_is_one_query,
    mysql_tokens,
    postgres_tokens,
    words_after_dots,
    words_called,
)
from myna.errors import QueryError

WORDS = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


@given(name=WORDS, value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_what_stands_in_strings_names_and_comments_is_never_called(name, value) -> None:
    string = "'" + value.replace("'", "''") + "'"
    comment = "/*" + value.replace("*", "").replace("/", "") + "*/"
    quoted = '"' + value.replace('"', '""') + '"'
    line = "--" + value.replace("\n", "").replace("\r", "") + "\n"
    sql = f"SELECT {string} {comment} AS {quoted}, {name} {line} {comment} (1)"
    assert words_called(postgres_tokens(sql)) == {name}
    backslashed = "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    backticked = "`" + value.replace("`", "``") + "`"
    sql = f"SELECT {backslashed} /* {comment[2:]} AS {backticked}, {name} -- {line} # {line} (1)"
    assert words_called(mysql_tokens(sql)) == {name}


@given(name=WORDS, depth=st.integers(0, 5))
def test_comments_of_postgres_nest_and_those_of_mysql_do_not(name, depth) -> None:
    sql = f"{'/*' * depth} {name}(1) {'*/' * depth}"
    assert words_called(postgres_tokens(sql)) == (set() if depth else {name})
    sql = f"{'/*' * depth} */ {name}(1)" if depth else f"{name}(1)"
    assert words_called(mysql_tokens(sql)) == {name}


@pytest.mark.parametrize(
    ("sql", "called"),
    [
        ('SELECT a."B c" (1)', {"B c"}),
        ("SELECT Lower(x)", {"lower"}),
        ("SELECT ÄB(x)", {"Äb"}),
        ("SELECT 1a(x)", {"a"}),
        (f"SELECT {'x' * 80}(1)", {"x" * 63}),
        ("SELECT a -- b(\n(1)", {"a"}),
        ("SELECT E'a'", set()),
    ],
)
def test_names_are_folded_and_cut_as_postgres_does(sql, called) -> None:
    assert words_called(postgres_tokens(sql)) == called


def test_what_follows_a_dot_may_be_a_function() -> None:
    assert words_after_dots(postgres_tokens('SELECT (x).f, a . "G"')) == {"f", "G"}


@pytest.mark.parametrize("sql", ["SELECT 'a", 'SELECT "a', "SELECT /* a", "SELECT /* /* */ a", "SELECT E'a\\''"])
def test_what_is_not_closed_is_refused(sql) -> None:
    with pytest.raises(QueryError, match="not closed"):
        postgres_tokens(sql)


@pytest.mark.parametrize(
    "sql", ['SELECT U&"a"', "SELECT u&\"a\" UESCAPE '!'", "SELECT $$a$$", "SELECT $1", "SELECT $a$b$a$"]
)
def test_what_could_be_read_in_two_ways_is_refused(sql) -> None:
    with pytest.raises(QueryError, match="write it without"):
        check_can_be_read(postgres_tokens(sql))


@pytest.mark.parametrize("comment", ["/*! a */", "/*!50000 a */", "/*M! a */", "/*M!100100 a */"])
def test_comments_that_mysql_executes_are_refused(comment) -> None:
    with pytest.raises(QueryError, match="comment that the server executes"):
        mysql_tokens(f"SELECT 1 {comment}")
    assert mysql_tokens(f"SELECT '{comment}'")


@pytest.mark.parametrize(
    "sql", ["SELECT 1", " (select 1) ;; ", "WITH a AS (SELECT 1) TABLE a", "/* */ VALUES (1) -- ;"]
)
def test_one_query_passes(sql) -> None:
    check_is_one_query(postgres_tokens(sql))


@pytest.mark.parametrize("sql", ["", ";", "DROP TABLE a", "SELECT 1; SELECT 2", "SELECT 1 INTO a", '"SELECT" 1', "\0"])
def test_all_else_does_not(sql) -> None:
    with pytest.raises(QueryError):
        check_is_one_query(postgres_tokens(sql))
