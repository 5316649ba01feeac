"""Promises of scoring: what is right, what is wrong and why, by each benchmark's rule; and what a score says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from myna.errors import DataError, RecipeError
from myna.text2sql import wikisql
from myna.text2sql.facts import SqlFacts
from myna.text2sql.scoring import Answer, Progress, ScoreResult, score
from scored_data import CITIES, CITY_QUERIES, GOLD, cities, folder, line, predictions, school


def scored(data: Path, answers: Sequence[str], **settings: Any) -> ScoreResult:
    file = predictions(data / "predictions.sql", answers)
    return score(data, predictions=file, **{"workers": 1, **settings})


def one(data: Path, answers: Sequence[str]) -> list[Answer]:
    return list(scored(data, answers).answers)


def test_gold_scores_everything(tmp_path: Path) -> None:
    result = scored(school(tmp_path / "school"), GOLD)
    shown = result.as_dict()
    assert (shown["execution_accuracy"], shown["exact_match"], shown["valid"], shown["examples"]) == (1, 1, 1, 6)
    # Six of six may still be a model that is right only 61 % of the time.
    assert shown["interval"] == pytest.approx([0.6097, 1.0], abs=1e-4)
    assert result.wrong == ()
    assert result.notes == ()


WRONG = {
    "SELECT name FROM students WHERE age = 20": "wrong condition value",
    "SELECT name FROM students WHERE age > 20": "wrong operator",
    "SELECT name FROM students WHERE id = 22": "wrong condition column",
    "SELECT name FROM students": "missing condition",
    "SELECT name FROM students WHERE age = 22 AND id = 2": "extra condition",
    "SELECT age FROM students WHERE age = 22": "wrong column",
    "SELECT max(name) FROM students WHERE age = 22": "wrong aggregate",
    "SELECT DISTINCT name FROM students WHERE age = 22 AND id > 2": "extra condition",
    "SELECT name FROM students WHERE age = 22 LIMIT 1": "wrong order or limit",
    "SELECT course FROM visits": "wrong table",
    "SELECT name FROM students JOIN visits ON id = student_id WHERE age = 22": "wrong join",
    "SELECT nam FROM students WHERE age = 22": "unknown column",
    'SELECT "nam" FROM students WHERE age = 22': "unknown column",
    "SELECT name FROM student WHERE age = 22": "unknown table",
    "SELECT name FROM students WHERE": "does not parse",
    "SELECT COUNT name FROM students WHERE age ==== 22": "does not parse",
    "DROP TABLE students": "not a query",
    "SELECT 1; SELECT 2": "not a query",
    "": "no SQL",
    "I do not know.": "no SQL",
}


def test_every_wrong_answer_has_its_cause(tmp_path: Path) -> None:
    data = school(tmp_path / "school", [GOLD[0]] * len(WRONG))
    before = (data / "databases" / "school.sqlite").read_bytes()
    result = scored(data, list(WRONG))
    found = {sql: answer.verdict.cause for sql, answer in zip(WRONG, result.answers, strict=True)}
    assert found == WRONG
    assert len(result.wrong) == len(WRONG) == sum(result.causes.values())
    assert (data / "databases" / "school.sqlite").read_bytes() == before
    invalid = ("unknown column", "unknown table", "does not parse", "not a query", "no SQL")
    assert all(answer.verdict.valid == (answer.verdict.cause not in invalid) for answer in result.answers)


def test_a_name_in_double_quotes_that_is_no_column_is_invalid(tmp_path: Path) -> None:
    """SQLite itself answers with rows of the text `grad`."""
    (answer,) = one(school(tmp_path / "school", ["SELECT grade FROM students"]), ['SELECT "grad" FROM students'])
    assert not answer.verdict.valid
    assert answer.verdict.cause == "unknown column"
    assert "grad" in answer.verdict.message


JUDGED = [
    (GOLD[0], "select NAME from STUDENTS where 22 = age;", True, True),
    (GOLD[0], "```sql\nSELECT name FROM students\nWHERE age = 22;\n```", True, True),
    (GOLD[0], "SQL: SELECT name FROM students WHERE age = 22", True, True),
    (GOLD[0], "SELECT name FROM students WHERE age = 22; -- the two of them", True, True),
    (GOLD[0], "SELECT name FROM students WHERE age = 22 ORDER BY name DESC", True, False),
    (GOLD[1], "SELECT count(id) FROM students", True, False),
    (GOLD[1], "SELECT 4.0", True, False),
    (GOLD[1], "SELECT '4'", False, False),
    (GOLD[2], "SELECT name FROM students WHERE age = 25", True, False),
    (GOLD[4], "SELECT count(*), age FROM students GROUP BY age", True, False),
    ("SELECT name FROM students ORDER BY id", "SELECT name FROM students ORDER BY id DESC", False, False),
    ("SELECT grade FROM students", "SELECT grade FROM students WHERE grade IS NOT NULL", False, False),
    ("SELECT grade FROM students WHERE id = 3", "SELECT NULL", True, False),
]
"""Gold, answer, whether its result is right, whether it is the gold's SQL."""


def test_answers_are_judged_by_their_results(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"sql": answer}) + "\n" for _, answer, _, _ in JUDGED))
    result = score(school(tmp_path / "school", [gold for gold, *_ in JUDGED]), predictions=file, workers=1)
    for (_, sql, right, exact), answer in zip(JUDGED, result.answers, strict=True):
        assert (answer.verdict.execution, answer.verdict.exact) == (right, exact), sql


def test_both_results_of_a_wrong_answer_are_kept(tmp_path: Path) -> None:
    (answer,) = one(school(tmp_path / "school", [GOLD[0]]), ["SELECT name FROM students"])
    gold, predicted = answer.verdict.gold, answer.verdict.predicted
    assert gold is not None
    assert predicted is not None
    assert (gold.columns, gold.rows, gold.count) == (("name",), (("Bob",), ("Cy",)), 2)
    assert predicted.count == 4


def test_scores_are_told_apart_by_construct_difficulty_and_database(tmp_path: Path) -> None:
    answers = [*GOLD[:3], "", "", GOLD[5]]
    groups = scored(school(tmp_path / "school"), answers).groups
    construct = {name: (rates.execution.right, rates.execution.of) for name, rates in groups["construct"].items()}
    assert construct["join"] == (0, 1)
    assert construct["group by"] == (0, 1)
    assert construct["where"] == (2, 3)
    assert construct["aggregate"] == (2, 3)
    assert {name: rates.exact.of for name, rates in groups["difficulty"].items()} == {"easy": 3, "medium": 3}
    assert groups["database"]["school"].execution.as_dict()["right"] == 4


def test_a_wikisql_answer_is_judged_by_the_official_rule(tmp_path: Path) -> None:
    queries = [CITY_QUERIES[0]] * 12
    gold = wikisql.to_sql(CITY_QUERIES[0], CITIES)
    expected = {
        gold: (True, True, True, None),
        wikisql.to_sql(CITY_QUERIES[0], CITIES, "wikisql"): (True, True, True, None),
        """SELECT "Mayor" FROM "1-100-1" WHERE "City" = 'ULM'""": (True, True, True, None),
        """SELECT "Mayor" FROM "1-100-1" WHERE "Notes, in short" = 'cathedral'""": (True, False, True, None),
        """SELECT "Mayor" FROM "1-100-1" WHERE "City" = 'Jena'""": (False, False, True, "wrong condition value"),
        """SELECT COUNT("Mayor") FROM "1-100-1" WHERE "City" = 'Ulm'""": (False, False, True, "wrong aggregate"),
        """SELECT "Notes, in short" FROM "1-100-1" WHERE "City" = 'Ulm'""": (False, False, True, "wrong column"),
        # Right in SQL, but WikiSQL's form has no ORDER BY: its evaluator is given an error.
        gold + " LIMIT 1": (False, False, True, "wrong order or limit"),
        """SELECT "Major" FROM "1-100-1" WHERE "City" = 'Ulm'""": (False, False, False, "unknown column"),
        """SELECT "Mayor" FROM "1-100-2" WHERE "City" = 'Ulm'""": (False, False, False, "unknown table"),
        """SELECT "Mayor" FROM "1-100-1" WHERE "Population" = 'Ulm'""": (False, False, True, "wrong condition column"),
        "": (False, False, False, "no SQL"),
    }
    answers = one(cities(tmp_path / "cities", queries), list(expected))
    for sql, answer in zip(expected, answers, strict=True):
        verdict = answer.verdict
        assert (verdict.execution, verdict.exact, verdict.valid, verdict.cause) == expected[sql], sql


def test_wikisql_gold_scores_everything_in_every_surface(tmp_path: Path) -> None:
    for style in ("executable", "wikisql"):
        data = cities(tmp_path / style)
        result = scored(data, [wikisql.to_sql(query, CITIES, style) for query in CITY_QUERIES])
        assert (result.rates.execution.right, result.rates.exact.right, result.rates.valid.right) == (4, 4, 4)
        assert list(result.groups["difficulty"]) == ["no conditions", "1 condition", "2 conditions"]


def test_a_wikisql_gold_query_that_its_evaluator_can_not_run_is_left_out_and_said(tmp_path: Path) -> None:
    broken = wikisql.WikiSQLQuery(CITIES.id, 0, 0, ((1, 0, "–"),))
    data = cities(tmp_path / "cities", [CITY_QUERIES[0], broken])
    result = scored(data, [wikisql.to_sql(CITY_QUERIES[0], CITIES)] * 2, output=tmp_path / "out")
    assert result.examples == 1
    assert result.as_dict()["left_out"] == 1
    (note,) = result.notes
    assert "test.jsonl:2: its gold query does not run: a real column is compared with '–'" in note
    assert len((tmp_path / "out" / "official" / "wikisql" / "cities.jsonl").read_text().splitlines()) == 1


def test_spider_answers_are_judged_by_results_and_exact_sets(tmp_path: Path) -> None:
    gold = 'SELECT name FROM students WHERE name = "Ada"'
    expected = {
        gold: (True, True, True),
        "SELECT name FROM students WHERE name = 'Ada'": (True, True, True),
        # Exact set match does not compare values.
        'SELECT name FROM students WHERE name = "Bob"': (False, True, True),
        "SELECT name FROM students WHERE id = 1": (True, False, True),
        # A text where the question needs a column is no text, though SQLite says so.
        'SELECT "nam" FROM students WHERE name = "Ada"': (False, False, False),
    }
    result = scored(school(tmp_path / "school", [gold] * len(expected), "spider"), list(expected))
    for sql, answer in zip(expected, result.answers, strict=True):
        verdict = answer.verdict
        assert (verdict.execution, verdict.exact, verdict.valid) == expected[sql], sql
    (note,) = result.notes
    assert note.startswith("1 of the answers with an unknown column have names in double quotes: invalid here")


def test_a_gold_query_that_does_not_run_is_left_out_and_said(tmp_path: Path) -> None:
    data = school(tmp_path / "school", [GOLD[0], "SELECT gone FROM students"])
    result = scored(data, [GOLD[0], GOLD[0]])
    assert (result.examples, result.as_dict()["execution_accuracy"]) == (1, 1.0)
    (note,) = result.notes
    assert "1 question left out of the score" in note
    assert "gone" in note


def test_questions_without_a_database_are_judged_by_their_sql_alone_and_that_is_said(tmp_path: Path) -> None:
    facts = [SqlFacts("", sql) for sql in GOLD[:3]]
    data = folder(tmp_path / "data", [line("q", each) for each in facts], {})
    result = scored(data, [GOLD[0].lower(), "SELECT count(id) FROM students", "SELECT FROM WHERE"])
    shown = result.as_dict()
    assert shown["execution_accuracy"] is None
    assert shown["valid"] is None
    assert shown["exact_match"] == pytest.approx(1 / 3)
    assert shown["interval"] == pytest.approx([0.0615, 0.7923], abs=1e-4)
    assert shown["causes"] == {"wrong column": 1, "does not parse": 1}
    assert result.notes == ("3 questions without a database: judged by exact match alone, nothing was executed",)


def test_some_questions_are_always_the_same_ones(tmp_path: Path) -> None:
    data = school(tmp_path / "school")
    some = scored(data, GOLD, size=3)
    assert [answer.question.where for answer in some.answers] == [
        answer.question.where for answer in scored(data, GOLD, size=3).answers
    ]
    assert some.as_dict()["execution_accuracy"] == 1
    # the three answers alone, in the order of their questions
    own = [answer.question.facts.gold for answer in some.answers]
    assert scored(data, own, size=3).as_dict()["execution_accuracy"] == 1


def test_more_workers_give_the_same_score(tmp_path: Path) -> None:
    gold = [*GOLD, *GOLD] * 8
    answers = [sql if index % 3 else "SELECT name FROM students" for index, sql in enumerate(gold)]
    data = school(tmp_path / "school", gold)
    one_, two = (scored(data, answers, workers=count) for count in (1, 2))
    assert [each.as_dict() for each in one_.answers] == [each.as_dict() for each in two.answers]
    assert one_.as_dict() == two.as_dict()


def test_progress_is_told(tmp_path: Path) -> None:
    heard: list[Progress] = []
    scored(school(tmp_path / "school"), GOLD, listener=heard.append)
    assert heard == [Progress("judged", done, 6) for done in range(1, 7)]


def test_databases_are_found_where_the_user_says(tmp_path: Path) -> None:
    data = school(tmp_path / "school")
    (tmp_path / "other" / "school").mkdir(parents=True)
    (data / "databases" / "school.sqlite").rename(tmp_path / "other" / "school" / "school.sqlite")
    with pytest.raises(DataError, match=r"its database 'school' should be at .*school\.sqlite.*--databases FOLDER"):
        scored(data, GOLD)
    assert scored(data, GOLD, databases=tmp_path / "other").as_dict()["execution_accuracy"] == 1
    with pytest.raises(DataError, match="no such folder; --databases takes one with"):
        scored(data, GOLD, databases=tmp_path / "nowhere")


def test_what_can_not_be_scored_is_said(tmp_path: Path) -> None:
    data = school(tmp_path / "school")
    with pytest.raises(RecipeError, match="either a model"):
        score(data)
    with pytest.raises(RecipeError, match="workers is 0"):
        scored(data, GOLD, workers=0)
    with pytest.raises(RecipeError, match="time_limit is -1"):
        scored(data, GOLD, time_limit=-1)
    with pytest.raises(DataError, match=r"5 predictions, but .*test\.jsonl has 6 questions"):
        scored(data, GOLD[:5])
    with pytest.raises(DataError, match=r"no valid\.jsonl"):
        scored(data, GOLD, split="valid")
    plain = folder(tmp_path / "plain", [{"prompt": "q", "completion": "SELECT 1"}], {})
    with pytest.raises(DataError, match=r'test\.jsonl:1: no "sql" facts.*myna data wikisql'):
        scored(plain, ["SELECT 1"])
    misnamed = folder(tmp_path / "m", [line("q", SqlFacts("shcool", "SELECT 1"))], {"school": "x.sqlite"})
    with pytest.raises(DataError, match=r"the database 'shcool' is not in data\.json; did you mean 'school'"):
        scored(misnamed, ["SELECT 1"])
    unofficial = cities(tmp_path / "cities")
    (unofficial / "official" / "cities.db").unlink()
    with pytest.raises(DataError, match=r"no official/cities\.db, .* build the folder again"):
        scored(unofficial, [""] * 4)


def test_exact_sets_are_compared_with_the_keys_that_spider_s_evaluators_know(tmp_path: Path) -> None:
    """Columns that a foreign key joins are the same column to them; the keys are those of `tables.json`."""
    gold = "SELECT students.id FROM students JOIN visits ON students.id = visits.student_id"
    answer = gold.replace("SELECT students.id", "SELECT visits.student_id")
    data = school(tmp_path / "school", [gold], "spider")
    assert one(data, [answer])[0].verdict.exact  # by the key in the database
    description = {
        "db_id": "school",
        "table_names_original": ["students", "visits"],
        "column_names_original": [[-1, "*"], [0, "id"], [0, "name"], [1, "student_id"], [1, "course"]],
        "column_types": ["text", "number", "text", "number", "text"],
        "primary_keys": [1],
        "foreign_keys": [],
    }
    (data / "official").mkdir()
    (data / "official" / "tables.json").write_text(json.dumps([description]))
    assert not one(data, [answer])[0].verdict.exact
    (data / "official" / "tables.json").write_text(json.dumps([{**description, "foreign_keys": [[3, 1]]}]))
    assert one(data, [answer])[0].verdict.exact
