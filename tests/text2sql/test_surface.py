"""`canonical` writes a query in one way, that means the same and is accepted by the grammar."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from myna.databases.schema import Column, ForeignKey, Schema, Table
from myna.errors import QueryError
from myna.prompts.builder import PromptBuilder
from myna.text2sql.constraint import Constrainer
from myna.text2sql.grammar import grammar
from myna.text2sql.surface import canonical
from sql_schemas import ODD, SCHOOL, accepts, drawn

ROOT = Path(__file__).parents[2]
BUILDER = PromptBuilder.load(ROOT / "examples" / "stories260K")
SPIDER = ROOT.parent / "shared" / "data" / "spider"


@pytest.fixture(scope="module")
def constrainer() -> Constrainer:
    return Constrainer(BUILDER)


@pytest.mark.parametrize(("sql", "written"), [
    ('select name ,  age from STUDENTS where age>=16;', "SELECT Name, Age FROM students WHERE Age >= 16"),
    ('SELECT "Name" FROM students WHERE Name = "Tony"', "SELECT Name FROM students WHERE Name = 'Tony'"),
    ("SELECT s.name FROM students s", "SELECT Name FROM students"),
    ("SELECT students.name FROM students", "SELECT Name FROM students"),
    ("SELECT count ( * ) FROM students", "SELECT COUNT(*) FROM students"),
    ("SELECT x.name, city FROM students x JOIN schools y ON x.schoolid = y.id",
     "SELECT T1.Name, T2.City FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID"),
    ("SELECT City FROM students JOIN visits JOIN schools ON students.SchoolID = schools.ID "
     "AND visits.SchoolID = schools.ID",
     "SELECT T2.City FROM students AS T1 JOIN schools AS T2 ON T1.SchoolID = T2.ID "
     "JOIN visits AS T3 ON T3.SchoolID = T2.ID"),
    ("SELECT name FROM students WHERE NOT (age IN (1, 2))", "SELECT Name FROM students WHERE Age NOT IN (1, 2)"),
    ("SELECT name FROM students WHERE age != 3 AND NOT name LIKE '%a'",
     "SELECT Name FROM students WHERE Age <> 3 AND Name NOT LIKE '%a'"),
    ("SELECT name FROM students WHERE 3 < age", "SELECT Name FROM students WHERE Age > 3"),
    ("SELECT name FROM students WHERE (age = 1 OR age = 2) AND (height > .5)",
     "SELECT Name FROM students WHERE (Age = 1 OR Age = 2) AND Height > 0.5"),
    ("SELECT age AS a, COUNT(*) AS n FROM students GROUP BY a ORDER BY n DESC, a ASC LIMIT 3",
     "SELECT Age, COUNT(*) FROM students GROUP BY Age ORDER BY COUNT(*) DESC, Age LIMIT 3"),
    ("SELECT name FROM students WHERE age > (SELECT avg(age) FROM students)",
     "SELECT Name FROM students WHERE Age > (SELECT AVG(Age) FROM students)"),
    ("SELECT name FROM students union all SELECT name FROM schools",
     "SELECT Name FROM students UNION ALL SELECT Name FROM schools"),
    ("SELECT name FROM students WHERE height IS NOT NULL", "SELECT Name FROM students WHERE Height IS NOT NULL"),
    ("SELECT max(age - height) FROM students WHERE name = 'it''s'",
     "SELECT MAX(Age - Height) FROM students WHERE Name = 'it''s'"),
])  # fmt: skip
def test_there_is_one_way_to_write_a_query(constrainer: Constrainer, sql: str, written: str) -> None:
    assert canonical(sql, SCHOOL) == written
    assert canonical(written, SCHOOL) == written
    assert accepts(constrainer, grammar(SCHOOL), written)


@pytest.mark.parametrize("sql", ['SELECT "Name" FROM "Users"', 'SELECT name FROM "Users"', "SELECT name FROM users"])
def test_names_that_differ_only_by_case_are_told_apart(sql: str) -> None:
    columns = (Column("Name", "", "text"), Column("name", "", "text"))
    schema = Schema((Table("Users", columns), Table("users", columns)))
    assert canonical(sql, schema, dialect="postgres") == sql


@pytest.mark.parametrize(("sql", "kind", "said"), [
    ("SELECT grade FROM students", "unknown column", "no column 'grade' in students"),
    ("SELECT students.city FROM students JOIN schools ON SchoolID = ID", "unknown column", "students.city"),
    ("SELECT name FROM pupils", "unknown table", "no table 'pupils'"),
    ("SELECT name FROM students WHERE", "syntax", "WHERE"),
    ("SELECT CASE WHEN age > 1 THEN 1 END FROM students", "syntax", "outside the subset"),
    ("SELECT name FROM (SELECT * FROM students)", "syntax", "a subquery in FROM"),
    ("WITH a AS (SELECT 1) SELECT name FROM students", "syntax", "WITH"),
    ("SELECT name FROM students, schools", "syntax", "CROSS JOIN"),
    ("SELECT name FROM students JOIN schools", "syntax", "JOIN without a condition"),
    ("DROP TABLE students", "refused", "not a query"),
])  # fmt: skip
def test_what_the_subset_does_not_cover_is_named(sql: str, kind: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as caught:
        canonical(sql, SCHOOL)
    assert caught.value.kind == kind


@pytest.mark.parametrize("schema", [SCHOOL, ODD], ids=["school", "odd"])
def test_whatever_the_grammar_gives_is_written_in_its_surface_again(constrainer: Constrainer, schema: Schema) -> None:
    for tokens, ended in drawn(constrainer, grammar(schema), 60):
        if ended:
            written = canonical(BUILDER.decode(tokens), schema)
            assert canonical(written, schema) == written
            assert accepts(constrainer, grammar(schema), written)


@pytest.mark.skipif(not SPIDER.exists(), reason="../shared/data/spider is not here")
def test_spider_gold_means_the_same_and_is_covered(constrainer: Constrainer) -> None:
    accepted = total = 0
    schemas: dict[str, tuple[Schema, sqlite3.Connection]] = {}
    for record in json.loads((SPIDER / "train_spider.json").read_text("utf-8"))[::40]:
        name, gold = record["db_id"], record["query"]
        file = SPIDER / "database" / name / f"{name}.sqlite"
        if not file.exists():
            continue
        if name not in schemas:
            connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            connection.text_factory = lambda cell: cell.decode("utf-8", "replace")
            schemas[name] = (described(connection), connection)
        schema, connection = schemas[name]
        total += 1
        try:
            written = canonical(gold, schema)
        except QueryError:
            continue
        accepted += accepts(constrainer, grammar(schema), written)
        answers = [Counter(map(repr, connection.execute(sql).fetchall())) for sql in (gold, written)]
        assert answers[0] == answers[1], (gold, written)
    for _, connection in schemas.values():
        connection.close()
    assert total > 150
    assert accepted / total > 0.95


def described(connection: sqlite3.Connection) -> Schema:
    tables = []
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", (name,)).fetchall()
        keys = connection.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (name,)).fetchall()
        foreign = tuple(ForeignKey((source,), table, (target or "",)) for source, table, target in keys)
        tables.append(Table(name, tuple(Column(each, "", "text") for (each,) in columns), (), foreign))
    return Schema(tuple(tables))
