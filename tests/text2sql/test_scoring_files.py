"""Promises of the folder of results: everything about each answer, and files that the benchmarks' evaluators read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myna.errors import RunError
from myna.runs import RunFolder
from myna.text2sql import wikisql
from myna.text2sql.scoring import score
from scored_data import CITIES, CITY_QUERIES, GOLD, cities, predictions, school


def json_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_answer_has_a_line_with_all_that_is_known(tmp_path: Path) -> None:
    answers = [GOLD[0], "the answer is: SELECT 17 AS total", *GOLD[2:]]
    file = predictions(tmp_path / "p.sql", answers)
    result = score(school(tmp_path / "data"), predictions=file, workers=1, output=tmp_path / "out")
    lines = json_lines(tmp_path / "out" / "answers.jsonl")
    assert [(line["question"], line["gold_sql"], line["answer"]) for line in lines] == [
        (f"question {number}", gold, answer) for number, (gold, answer) in enumerate(zip(GOLD, answers, strict=True), 1)
    ]
    wrong = lines[1]
    assert wrong["where"].endswith("test.jsonl:2")
    assert (wrong["sql"], wrong["execution"], wrong["valid"]) == ("SELECT 17 AS total", False, True)
    assert wrong["predicted"] == {"columns": ["total"], "rows": [[17]], "count": 1, "truncated": False}
    assert wrong["gold"]["rows"] == [[4]]
    assert json.loads((tmp_path / "out" / "score.json").read_text()) == result.as_dict()


def test_the_listing_shows_every_wrong_answer_and_nothing_in_it_becomes_markdown(tmp_path: Path) -> None:
    odd = ["SELECT '| a ``` <b> # x' AS \"*odd*\"", "```", "SELECT nam FROM students", *GOLD[3:]]
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in odd))
    score(school(tmp_path / "data"), predictions=file, workers=1, output=tmp_path / "out")
    listing = (tmp_path / "out" / "wrong.md").read_text("utf-8")
    assert listing.startswith("# 3 wrong of 6 answers\n")
    assert "## unknown column: 1" in listing
    assert "## no SQL: 1" in listing
    assert "no SQL: ```" in listing
    assert "\n````sql\n-- right\n" in listing  # a fence longer than what stands in it
    assert r"| \*odd\* |" in listing
    assert r"| '| a" not in listing
    assert r"\| a \`\`\` \<b> \# x" in listing
    assert sum(line.startswith("### ") for line in listing.splitlines()) == 3


@pytest.mark.parametrize("size", [None, 3])
def test_wikisql_files_pair_line_by_line(tmp_path: Path, size: int | None) -> None:
    answers = [wikisql.to_sql(query, CITIES) for query in CITY_QUERIES]
    answers[2] = "no idea"
    file = predictions(tmp_path / "p.sql", answers)
    result = score(cities(tmp_path / "data"), predictions=file, workers=1, size=size, output=tmp_path / "out")
    source = json_lines(tmp_path / "out" / "official" / "wikisql" / "cities.jsonl")
    predicted = json_lines(tmp_path / "out" / "official" / "wikisql" / "cities.predictions.jsonl")
    assert len(source) == len(predicted) == result.examples == (size or 4)
    for asked, given, answer in zip(source, predicted, result.answers, strict=True):
        assert asked.keys() == {"table_id", "question", "sql"}
        assert asked["sql"].keys() == {"sel", "agg", "conds"}
        if answer.text == "no idea":
            assert "query" not in given
            assert given["error"]
        else:
            assert given["query"] == asked["sql"]
    assert [asked["question"] for asked in source] == [answer.question.asked for answer in result.answers]


def test_spider_files_pair_line_by_line_without_empty_lines(tmp_path: Path) -> None:
    answers = ["SELECT\n\tname FROM students", "", "nothing", *GOLD[3:]]
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in answers))
    score(school(tmp_path / "data", source="spider"), predictions=file, workers=1, output=tmp_path / "out")
    folder = tmp_path / "out" / "official" / "spider"
    gold = (folder / "gold.sql").read_text().split("\n")
    predicted = (folder / "predictions.sql").read_text().split("\n")
    assert gold == [*(f"{sql}\tschool" for sql in GOLD), ""]
    assert predicted == ["SELECT  name FROM students", "SELECT 1", "SELECT 1", *GOLD[3:], ""]


def test_scores_of_other_sources_have_no_official_files(tmp_path: Path) -> None:
    file = predictions(tmp_path / "p.sql", GOLD)
    score(school(tmp_path / "data"), predictions=file, workers=1, output=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names == {"score.json", "answers.jsonl", "wrong.md", "journal.jsonl"}


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = school(tmp_path / "data")
    file = predictions(tmp_path / "p.sql", GOLD)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    score(data, predictions=file, workers=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_folder_of_scores_is_left_alone(tmp_path: Path) -> None:
    data, file = school(tmp_path / "data"), predictions(tmp_path / "p.sql", GOLD)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(RunError, match="exists and holds no scores; name another folder with --out"):
        score(data, predictions=file, workers=1, output=tmp_path / "photos")
    with pytest.raises(RunError, match="is a file"):
        score(data, predictions=file, workers=1, output=file)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    (tmp_path / "out").mkdir()
    with (
        RunFolder(tmp_path / "out").lock(),
        pytest.raises(RunError, match="another process is at work on the scores there; wait for it"),
    ):
        score(data, predictions=file, workers=1, output=tmp_path / "out")
