"""Scores in a run's report: before and after side by side, wrong answers shown, and nothing of them obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scored_data
from myna.cli import main
from myna.errors import RunError
from myna.recipe import Recipe, to_yaml
from myna.reports import write_report
from myna.reports.scored import MOST_WRONG, read_scores
from myna.text2sql.scoring import score

WRONG = "SELECT '<script>alert(1)</script>'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scores of the same six questions, one right before and four after, and one of another data folder."""
    place = tmp_path_factory.mktemp("scores")
    gold = scored_data.GOLD
    data, other = scored_data.school(place / "school"), scored_data.school(place / "other", gold[:2])
    for name, right, of in (("before", 1, data), ("after", 4, data), ("elsewhere", 2, other)):
        count = 2 if of == other else len(gold)
        answers = [sql if number < right else WRONG for number, sql in enumerate(gold[:count])]
        written = scored_data.predictions(place / f"{name}.sql", answers)
        score(of, predictions=written, output=place / name, workers=1)
    (place / "run").mkdir()
    recipe = Recipe(model="examples/stories260K", data=str(data))
    (place / "run" / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    return place


def test_scores_of_the_same_data_stand_together_with_their_change(folder: Path) -> None:
    rows = read_scores([folder / "before", folder / "elsewhere", folder / "after"]).rows
    assert [(row.data, row.accuracy, row.change, row.better) for row in rows] == [
        ("school", "16.7", "", False),
        ("school", "66.7", "+50.0", True),
        ("other", "100.0", "", False),
    ]


def test_wrong_answers_of_the_last_score_are_shown_and_what_is_left_out_is_said(folder: Path, tmp_path: Path) -> None:
    (wrong,) = read_scores([folder / "before", folder / "after", folder / "elsewhere"]).wrong
    assert wrong.title.endswith("school: 2 of 6 wrong")
    assert [answer.expected for answer in wrong.answers] == list(scored_data.GOLD[4:])
    assert all(answer.answer == WRONG and answer.cause for answer in wrong.answers)

    many = tmp_path / "many"
    many.mkdir()
    line = (folder / "after" / "answers.jsonl").read_text("utf-8").splitlines()[-1]
    (many / "answers.jsonl").write_text(f"{line}\n" * (MOST_WRONG + 7), "utf-8")
    (many / "score.json").write_text((folder / "after" / "score.json").read_text("utf-8"), "utf-8")
    (shown,) = read_scores([many]).wrong
    assert (len(shown.answers), shown.left_out) == (MOST_WRONG, 7)


def test_a_page_shows_scores_and_obeys_nothing_in_them(folder: Path) -> None:
    assert (
        main(["report", str(folder / "run"), "--score", str(folder / "before"), "--score", str(folder / "after")]) == 0
    )
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert "+50.0" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    write_report(folder / "run")
    assert "Execution accuracy" not in (folder / "run" / "report.html").read_text("utf-8")


def test_a_folder_without_a_score_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="give a folder that myna score wrote"):
        write_report(folder / "run", scores=[tmp_path])
    for content in ("{", json.dumps({"loss": 1.0})):
        (tmp_path / "score.json").write_text(content, "utf-8")
        with pytest.raises(RunError, match=r"score\.json: (not JSON|no score)"):
            read_scores([tmp_path])


def test_a_cell_with_line_separators_of_unicode_is_scored_and_shown(folder: Path, tmp_path: Path) -> None:
    """Once such a score was written, `myna report --score` could not read it."""
    data = scored_data.school(tmp_path / "school", scored_data.GOLD[:1])
    odd = "SELECT 'a\u2028b\x85c\x1d\r' || char(27, 8238) AS \"x\x0b\""
    written = tmp_path / "answers.jsonl"
    written.write_text(json.dumps({"sql": odd}) + "\n", "utf-8")
    score(data, predictions=written, output=tmp_path / "scored", workers=1)
    (wrong,) = read_scores([tmp_path / "scored"]).wrong
    assert wrong.answers[0].answer == odd
    listing = (tmp_path / "scored" / "wrong.md").read_text("utf-8")
    assert not set(listing) & set("\u2028\x85\x1d\r\x1b\u202e\x0b")
    assert r"'a\u2028b\x85c\x1d\r'" in listing
    write_report(folder / "run", scores=[tmp_path / "scored"])
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert r"a\u2028b\x85c\x1d\r" in page
    assert not set(page) & set("\u2028\x85\x1d\x1b\u202e\x0b")


def test_a_score_or_answer_that_lacks_a_part_is_named(folder: Path, tmp_path: Path) -> None:
    whole = json.loads((folder / "after" / "score.json").read_text("utf-8"))
    (tmp_path / "score.json").write_text(json.dumps({"execution_accuracy": 1.0}), "utf-8")
    with pytest.raises(RunError, match=r"score\.json: no \"data\""):
        read_scores([tmp_path])
    (tmp_path / "score.json").write_text(json.dumps(whole), "utf-8")
    (tmp_path / "answers.jsonl").write_text('{"question": "q"}\n', "utf-8")
    with pytest.raises(RunError, match=r"answers\.jsonl:1: no \"gold_sql\""):
        read_scores([tmp_path])
