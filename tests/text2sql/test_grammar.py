"""What the grammar of a schema lets through, and what not."""

from __future__ import annotations

from itertools import pairwise, permutations
from pathlib import Path

import pytest

from myna.builders.database.build import build_database
from myna.data.folder import open_split
from myna.databases import Database
from myna.databases.schema import Schema, Table
from myna.errors import DatabaseError
from myna.prompts.builder import PromptBuilder
from myna.starter.files import write_database
from myna.text2sql.constraint import Constrainer
from myna.text2sql.facts import SqlFacts
from myna.text2sql.grammar import FREE_JOINS, MAX_TABLES, Values, grammar, literal_text
from myna.text2sql.values import ValueIndex, contents
from sql_schemas import ODD, SCHOOL, accepts, schema

JOINED = "FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID"


@pytest.fixture(scope="module")
def constrainer() -> Constrainer:
    return Constrainer(PromptBuilder.load(Path(__file__).parents[2] / "examples" / "stories260K"))


@pytest.mark.parametrize("sql", [
    "SELECT * FROM students",
    " SELECT * FROM students;",
    'SELECT "Name", Age FROM "students" WHERE "Age" = 15',
    "SELECT COUNT(*) FROM students WHERE Name = 'Wang Junjian' AND Age >= 3.5",
    "SELECT DISTINCT City FROM schools ORDER BY Name DESC, ID ASC LIMIT 3 OFFSET 1",
    "SELECT Age, AVG(Height) FROM students GROUP BY Age HAVING COUNT(*) > 2 ORDER BY AVG(Height) DESC LIMIT 1",
    "SELECT Name FROM students WHERE Height > (SELECT AVG(Height) FROM students)",
    "SELECT Name FROM students WHERE SchoolID IN (SELECT ID FROM schools WHERE City = '北京' ORDER BY ID LIMIT 1)",
    "SELECT Name FROM students EXCEPT SELECT Name FROM schools WHERE ID IS NULL",
    "SELECT Name, Age FROM students UNION SELECT City, COUNT(*) FROM schools GROUP BY City",
    "SELECT MAX(Height - Age) FROM students",
    "SELECT Height - Age FROM students WHERE Age BETWEEN 1 AND 'x' AND Name NOT LIKE '%''%'",
    "SELECT Name FROM students WHERE (Age = 1 OR Age = 2) AND Name NOT IN ('a', 'b', 3)",
    f"SELECT T1.Name, T2.City {JOINED}",
    f"SELECT COUNT(*) {JOINED} WHERE T1.Age > T2.ID GROUP BY T2.ID",
    f"SELECT T2.* {JOINED}",
    f"SELECT COUNT(DISTINCT T2.City) {JOINED} JOIN visits AS T3 ON T3.SchoolID = T2.ID WHERE T3.Year = 2020",
    "SELECT T2.Name FROM students AS T1 LEFT JOIN students AS T2 ON T1.Age = T2.Height AND T2.Name = T1.Name",
    "SELECT Name FROM students WHERE Age = -1.5e-3",
])  # fmt: skip
def test_a_query_of_the_subset_is_accepted(constrainer: Constrainer, sql: str) -> None:
    assert accepts(constrainer, grammar(SCHOOL), sql)


@pytest.mark.parametrize("sql", [
    "SELECT Grade FROM students",
    "SELECT City FROM students",
    "SELECT Name FROM schools WHERE Age = 3",
    "SELECT Name FROM schools ORDER BY Height",
    "SELECT Name FROM pupils",
    "SELECT COUNT Name FROM students",
    "SELECT name FROM students",
    f"SELECT T1.City {JOINED}",
    f"SELECT T3.City {JOINED}",
    f"SELECT T1.Name {JOINED} WHERE T2.Age = 1",
    f"SELECT Name {JOINED}",
    "SELECT T1.Name FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.Age",
    "SELECT Name FROM students ORDER BY COUNT(*)",
    "SELECT Name FROM students WHERE COUNT(*) > 1",
    "SELECT Name FROM students HAVING COUNT(*) > 1",
    "SELECT Name, Age FROM students UNION SELECT Name FROM schools",
    "SELECT * FROM students UNION SELECT Name FROM schools",
    "SELECT Name FROM students WHERE Age IN (SELECT Name, ID FROM schools)",
    "SELECT Name FROM students ORDER BY Name UNION SELECT Name FROM schools",
    "SELECT Name FROM students WHERE Name = 'it's'",
    "SELECT Name FROM students WHERE Age = 007",
    "SELECT Name FROM students; DROP TABLE students",
    "SELECT Name FROM",
    "",
])  # fmt: skip
def test_anything_else_is_not(constrainer: Constrainer, sql: str) -> None:
    assert not accepts(constrainer, grammar(SCHOOL), sql)


def test_names_that_sql_keeps_for_itself_come_quoted_only(constrainer: Constrainer) -> None:
    rules = grammar(ODD)
    assert accepts(constrainer, rules, 'SELECT "select", "a""b", 姓名, "姓名", "it\'s", "x\\y" FROM "order"')
    assert accepts(constrainer, rules, 'SELECT COUNT(DISTINCT Dist), "DISTINCT" FROM "学生 表" WHERE "1st" = 1')
    assert accepts(constrainer, rules, 'SELECT T1 FROM "t""q\'1-2.3" WHERE "COUNT(*)" = 2')
    assert not accepts(constrainer, rules, 'SELECT select FROM "order"')
    assert not accepts(constrainer, rules, "SELECT id FROM order")


def test_dialects_quote_in_their_own_way(constrainer: Constrainer) -> None:
    odd = schema({"sales.Order": ["Total", "two words"]})
    postgres, mysql = (grammar(odd, dialect=dialect) for dialect in ("postgres", "mysql"))
    assert accepts(constrainer, postgres, 'SELECT "Total" FROM sales."Order" WHERE "two words" = \'a\\b\'')
    assert not accepts(constrainer, postgres, 'SELECT Total FROM sales."Order"')
    assert accepts(constrainer, mysql, "SELECT Total FROM `sales`.`Order` WHERE `two words` = 'ab'")
    # A backslash would escape the quote that ends the text.
    assert not accepts(constrainer, mysql, "SELECT Total FROM `sales`.`Order` WHERE `two words` = 'a\\'")


def test_values_limit_what_stands_right_of_an_equality(constrainer: Constrainer) -> None:
    values = Values({("students", "Name"): ["Wang Junjian", "it's"], ("students", "Age"): [9], ("schools", "City"): []})
    rules = grammar(SCHOOL, values=values)
    for test in ("Name = 'Wang Junjian'", "Name <> 'it''s'", "Name IN ('it''s', 'Wang Junjian')", "Age = 9",
                 "Height = 7", "Name LIKE '%J%'", "Age > 4", "Name = (SELECT Name FROM schools)"):  # fmt: skip
        assert accepts(constrainer, rules, f"SELECT Age FROM students WHERE {test}"), test
        assert accepts(constrainer, rules, f"SELECT T1.Age {JOINED} WHERE T1.{test}"), test
    for test in ("Name = 'Wang'", "Name = 3", "Age = 8", "Name IN ('it''s', 'x')", "Age = 99", "Age <> '9'"):
        assert not accepts(constrainer, rules, f"SELECT Age FROM students WHERE {test}"), test
    assert accepts(constrainer, rules, "SELECT Name FROM schools WHERE City IS NULL")
    assert accepts(constrainer, rules, "SELECT Name FROM schools WHERE City LIKE '%x'")
    for test in ("City = 'x'", "City IN ('x')"):
        assert not accepts(constrainer, rules, f"SELECT Name FROM schools WHERE {test}"), test


@pytest.mark.parametrize("values", [["Li Na"], ["Li Na", "it's"], ["a", "aa", "aaa", "b"], [9, 90, 1.5]])
def test_in_takes_each_of_a_few_values_once(constrainer: Constrainer, values: list[str | float]) -> None:
    rules = grammar(SCHOOL, values=Values({("students", "Name"): values}))
    for count in range(1, len(values) + 1):
        for chosen in permutations(map(literal_text, values), count):
            asked = "SELECT Age FROM students WHERE Name NOT IN ({}) AND Age = 3"
            assert accepts(constrainer, rules, asked.format(", ".join(chosen)))
            assert not accepts(constrainer, rules, asked.format(", ".join([*chosen, chosen[0]])))
    assert not accepts(constrainer, rules, "SELECT Age FROM students WHERE Name IN ()")


def test_in_takes_many_values_in_any_number(constrainer: Constrainer) -> None:
    rules = grammar(SCHOOL, values=Values({("students", "Age"): [1, 2, 3, 4, 5]}))
    assert accepts(constrainer, rules, "SELECT Name FROM students WHERE Age IN (5, 4, 3, 2, 1)")


def test_values_limit_what_columns_are_compared_with(constrainer: Constrainer) -> None:
    some, none = (grammar(SCHOOL, values=Values(compared=numbers)) for numbers in ([170, 1.5], []))
    assert accepts(constrainer, some, "SELECT Name FROM students WHERE Height > 170 AND Age BETWEEN 1.5 AND 170")
    assert not accepts(constrainer, some, "SELECT Name FROM students WHERE Height > 171")
    assert not accepts(constrainer, none, "SELECT Name FROM students WHERE Height > 170")
    assert accepts(constrainer, none, "SELECT Name FROM students WHERE Height > Age AND Height = 3")
    assert accepts(constrainer, none, "SELECT Age FROM students GROUP BY Age HAVING COUNT(*) > 1")


@pytest.mark.parametrize("value", ["it's", "a\\b", "", "北京", 3, -2.5, 1e-07])
def test_a_literal_is_a_value_of_the_grammar(constrainer: Constrainer, value: str | float) -> None:
    sql = f"SELECT Name FROM students WHERE Age = {literal_text(value)}"
    assert accepts(constrainer, grammar(SCHOOL), sql)
    assert accepts(constrainer, grammar(SCHOOL, values=Values({("students", "Age"): [value]})), sql)


def test_a_large_schema_joins_along_its_keys(constrainer: Constrainer) -> None:
    names = [f"t{i}" for i in range(FREE_JOINS + 5)]
    keys = {f"{name}.parent": f"{before}.id" for before, name in pairwise(names)}
    rules = grammar(schema({name: ["id", "parent", f"own_{name}"] for name in names}, keys))
    assert accepts(constrainer, rules, "SELECT own_t9 FROM t9 WHERE id = 3")
    assert accepts(constrainer, rules, "SELECT T1.own_t3, T2.id FROM t3 AS T1 JOIN t4 AS T2 ON T1.id = T2.parent")
    three = "FROM t3 AS T1 JOIN t4 AS T2 ON T1.id = T2.parent JOIN t5 AS T3 ON T2.id = T3.parent"
    assert accepts(constrainer, rules, f"SELECT T3.own_t5, T1.id {three}")
    assert not accepts(constrainer, rules, "SELECT T1.id FROM t3 AS T1 JOIN t9 AS T2 ON T1.id = T2.parent")


def test_a_schema_that_can_not_be_asked_is_an_error() -> None:
    with pytest.raises(DatabaseError, match="no table with a column"):
        grammar(Schema((Table("empty", ()),)))
    many = schema({f"t{i}": ["a"] for i in range(MAX_TABLES + 1)})
    with pytest.raises(DatabaseError, match=f"has {MAX_TABLES + 1} tables, .* at most {MAX_TABLES}; give it"):
        grammar(many)
    assert grammar(schema({f"t{i}": ["a"] for i in range(MAX_TABLES)}))


def test_the_same_schema_has_the_same_grammar() -> None:
    assert grammar(SCHOOL) == grammar(Schema(SCHOOL.tables))
    assert grammar(SCHOOL) is grammar(Schema(SCHOOL.tables))


@pytest.mark.parametrize("name", ["students", "birds"])
def test_what_data_database_asks_can_be_answered_when_held_to_content(
    constrainer: Constrainer, tmp_path: Path, name: str
) -> None:
    write_database(name, tmp_path / "data.sqlite")
    build_database(tmp_path / "data.sqlite", tmp_path / "data", size=200, language="both")
    refused = []
    with Database.open(tmp_path / "data.sqlite") as database, ValueIndex.open(database, folder=tmp_path) as index:
        examples = list(open_split(tmp_path / "data", "train"))
        for example in examples:
            facts = SqlFacts.of(example)
            assert facts is not None
            found = contents(index, database.schema, str(example.messages[-2]["content"]).partition("\nHints:")[0])
            held = grammar(database.schema, values=None if found.free else found.values)
            if not accepts(constrainer, held, facts.gold):
                refused.append(f"{example.messages[-2]['content']} {facts.gold}")
    assert len(refused) <= 0.03 * len(examples), "\n".join(refused)
