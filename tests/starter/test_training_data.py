"""What the starter learns from, and that nothing of a test half is in it."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from myna.text2sql.wikisql import WikiSQLQuery, WikiSQLTable

_ROOT = Path(__file__).parents[2]
_RECIPE = _ROOT / "recipes" / "starter"
_WIKISQL = _ROOT.parent / "shared" / "data" / "wikisql"
sys.path.insert(0, str(_RECIPE))  # a recipe is a few scripts side by side, not a package

import wikisql  # noqa: E402
from spelling import restored, same_words  # noqa: E402


def _lines(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (_WIKISQL / name).read_text("utf-8").splitlines()]


@pytest.mark.skipif(not _WIKISQL.is_dir(), reason="WikiSQL's files are not beside the project")
def test_no_table_of_the_test_half_is_learnt_and_hardly_any_question_reads_the_same() -> None:
    learnt, tested = _lines("train.exec.jsonl"), _lines("test_a.exec.jsonl")
    assert not {line["table_id"] for line in learnt} & {line["table_id"] for line in tested}
    known = {str(line["question"]).casefold() for line in learnt}
    # "Who was the away team at Victoria Park?" is asked of many tables; such questions are 0.3 % of the test half.
    assert sum(str(line["question"]).casefold() in known for line in tested) < 0.005 * len(tested)
    others = (_WIKISQL.parent / "sql_create_context" / "sql_create_context.jsonl").read_text("utf-8").splitlines()
    spider = json.loads((_WIKISQL.parent / "spider" / "train_spider.json").read_text("utf-8"))
    told = {str(each["question"]).casefold() for each in (*map(json.loads, others), *spider)}
    assert not told & {str(line["question"]).casefold() for line in tested}


def test_the_recipe_reads_training_files_only() -> None:
    script = (_RECIPE / "make.sh").read_text("utf-8")
    read = "".join(path.read_text("utf-8") for path in _RECIPE.glob("*.py"))
    assert "train.exec" in script
    assert "test_a" not in script + read
    assert "dev.json" not in script + read
    assert "--test-size 0" in script


def test_names_are_spelt_as_people_spell_them() -> None:
    assert restored("school / club team") == "School/Club Team"
    assert restored("points ( max . 10 )") == "Points (Max. 10)"
    assert restored("years for jazz") == "Years for Jazz"
    assert same_words("School/Club Team", "school / club team")


TABLE = WikiSQLTable(
    "1-1",
    ("player", "school / club team", "points"),
    ("text", "text", "real"),
    [["mark eaton", "ucla", 10], ["jeremy evans", "western kentucky", 12], ["derek fisher", "ucla", 9]],
)
ASKED = wikisql.Asked(
    "Which club did Mark Eaton play for?",
    WikiSQLQuery("1-1", 1, 0, ((0, 0, "mark eaton"),)),
    (wikisql.Match(0, "mark eaton", 15, 25),),
)


def test_whatever_is_told_the_question_names_the_value_and_the_schema_the_columns() -> None:
    seen = set()
    for number in range(200):
        ((messages,),) = wikisql.conversations(TABLE, [ASKED], ["player", "league", "season"], random.Random(number))
        system, user, answer = (message["content"] for message in messages)
        value = answer.rpartition("= '")[2].rstrip("'")
        assert value.casefold() in user.partition("\nHints: ")[0].casefold()
        chosen = answer.removeprefix("SELECT ").partition(" FROM ")[0]
        assert f"{chosen} text" in system
        condition = answer.partition(" WHERE ")[2]
        if "\nHints: " in user:
            assert condition in user
        seen.add((value, chosen, system))
    assert {value.casefold() for value, _, _ in seen} == {"mark eaton", "jeremy evans", "derek fisher"}
    assert len(seen) > 100
