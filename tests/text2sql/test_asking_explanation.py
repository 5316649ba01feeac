"""Promises of explaining: the words say what the SQL says, in both languages, whatever the SQL."""

from __future__ import annotations

from string import Formatter

import pytest

from myna.errors import QueryError
from myna.text2sql.asking import explain
from myna.text2sql.asking.explanation_words import WORDS

CASES = {
    "SELECT Name FROM students WHERE Grade = 9 AND (Age > 10 OR Age IS NULL)": (
        "Reads students. Takes the rows where Grade is 9 and (Age is greater than 10 or Age is missing (NULL)). "
        "Shows Name.",
        "读取「students」。只取满足条件的行：「Grade」等于9，并且（「Age」大于10，或者「Age」为空（NULL））。显示「Name」。",
    ),
    "SELECT COUNT(*) FROM students": ("Reads students. Shows the number of rows.", "读取「students」。显示行数。"),
    (
        "SELECT T1.Name, COUNT(DISTINCT T2.ID) FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID "
        "WHERE T2.City NOT LIKE '%Ulm%' GROUP BY T1.Name HAVING COUNT(*) >= 3 ORDER BY COUNT(*) DESC, T1.Name LIMIT 3"
    ): (
        "Reads students. Joins schools where students.SchoolID is schools.ID. Takes the rows where schools.City does "
        "not contain 'Ulm'. Makes one row for each students.Name. Keeps those where the number of rows is at least 3. "
        "Shows students.Name and how many different schools.ID there are. Sorts by the number of rows, largest first, "
        "then students.Name, smallest first. Gives the first 3 rows.",
        "读取「students」。连接「schools」，条件：「students.SchoolID」等于「schools.ID」。"
        "只取满足条件的行：「schools.City」不包含“Ulm”。按「students.Name」分组，每组一行。只保留满足条件的组：行数不小于3。"
        "显示「students.Name」、不同「schools.ID」的个数。按行数从大到小，再按「students.Name」从小到大排序。只给出前3行。",
    ),
    'SELECT "Position held" FROM students WHERE Height > (SELECT AVG(Height) FROM students) LIMIT 1': (
        "Reads students. Takes the rows where Height is greater than (the average of Height in students). "
        'Shows "Position held". Gives the first row.',
        "读取「students」。只取满足条件的行：「Height」大于（「students」中的「Height」的平均值）。"
        "显示「Position held」。只给出第一行。",
    ),
    "SELECT a FROM t EXCEPT SELECT b FROM u WHERE NOT c BETWEEN 1 AND 2": (
        "First query: Reads t. Shows a. Second query: Reads u. Takes the rows where c is not from 1 to 2. Shows b. "
        "Gives the rows of the first that the second does not have.",
        "第一个查询：读取「t」。显示「a」。第二个查询：读取「u」。只取满足条件的行：「c」不在1到2之间。显示「b」。"
        "给出第一个查询有而第二个查询没有的行。",
    ),
}


@pytest.mark.parametrize("sql", CASES)
def test_a_query_is_said_in_the_order_in_which_it_works(sql: str) -> None:
    english, chinese = CASES[sql]
    assert " ".join(explain(sql, "sqlite")) == english
    assert "".join(explain(sql, "sqlite", language="zh")) == chinese


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("NOT a = 1", "a is not 1"),
        ("NOT a > 1", "a is at most 1"),
        ("NOT (a = 1 AND b = 2)", "not (a is 1 and b is 2)"),
        ("a IS NOT NULL", "a is there (not NULL)"),
        ("a LIKE 'x%'", "a begins with 'x'"),
        ("a LIKE '%x'", "a ends with 'x'"),
        ("a LIKE 'x_y%'", "a matches the pattern 'x_y%'"),
        ("a LIKE '%'", "a matches the pattern '%'"),
        ("a NOT IN (1, 2)", "a is none of 1, 2"),
        ("a IN (SELECT b FROM u WHERE c = 'it''s {x}')", "a is among (b in u where c is 'it's {x}')"),
        ("EXISTS (SELECT b FROM u)", "there is a row in (b in u)"),
        ("a - b > 3", "a - b is greater than 3"),
        ("strftime('%Y', d) = '2020'", "STRFTIME('%Y', d) is '2020'"),
        (
            "a IN (SELECT b FROM u ORDER BY b LIMIT 2)",
            "a is among (Reads u. Shows b. Sorts by b, smallest first. Gives the first 2 rows)",
        ),
    ],
)
def test_conditions_say_what_they_mean(condition: str, said: str) -> None:
    assert explain(f"SELECT * FROM t WHERE {condition}", "sqlite")[1] == f"Takes the rows where {said}."


def test_a_table_joined_with_itself_keeps_its_two_names() -> None:
    said = explain("SELECT e.n, m.n FROM staff e LEFT JOIN staff m ON e.boss = m.id", "sqlite")
    assert said[-1] == 'Shows "staff (e).n" and "staff (m).n".'
    assert said[1].endswith("; rows read before stay where nothing fits them.")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "VALUES (1), (2)",
        "WITH w AS (SELECT a FROM t) SELECT MAX(a) FROM w",
        "SELECT * FROM (SELECT a FROM t) AS x, u CROSS JOIN v",
        "SELECT CASE WHEN a THEN 1 ELSE 2 END, SUM(a) OVER (PARTITION BY b) FROM t GROUP BY 1",
        "SELECT a FROM t JOIN u USING (id) LIMIT 2 OFFSET 3",
        "(SELECT a FROM t) UNION ALL SELECT b FROM u ORDER BY 1",
        "SELECT COUNT(DISTINCT a, b), T1.* FROM t AS T1 FULL JOIN u ON T1.a = u.a",
        "SELECT -a, NOT b, c IS TRUE FROM t WHERE b",
    ],
)
def test_any_query_has_words(sql: str) -> None:
    for language in WORDS:
        said = explain(sql, "sqlite", language=language)
        assert said
        assert all(sentence.strip() for sentence in said)


def test_both_languages_have_the_same_words_for_the_same_parts() -> None:
    english, chinese = WORDS["en"], WORDS["zh"]
    assert english.keys() == chinese.keys()
    for key in english:
        fields = [{name for _, name, _, _ in Formatter().parse(words[key]) if name} for words in (english, chinese)]
        assert fields[0] == fields[1], key


def test_what_is_no_query_is_refused() -> None:
    with pytest.raises(QueryError):
        explain("DROP TABLE t", "sqlite")
