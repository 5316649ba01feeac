"""Promises of scoring on the real data sets, where they are: gold scores everything, in every surface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myna.builders.spider import build_spider
from myna.builders.wikisql import build_wikisql
from myna.text2sql.scoring import score

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real data in ../shared/data")


def answers_of(data: Path, split: str) -> Path:
    """Write what the data itself answers as predictions."""
    file = data / "answers.jsonl"
    with (data / f"{split}.jsonl").open(encoding="utf-8") as lines, file.open("w", encoding="utf-8") as out:
        for record in map(json.loads, lines):
            answer = record["messages"][-1]["content"] if "messages" in record else record["text"].split("\nA: ")[-1]
            out.write(json.dumps({"text": answer}, ensure_ascii=False) + "\n")
    return file


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(("form", "style"), [("chat", "executable"), ("text", "wikisql")])
def test_wikisql_gold_scores_everything(tmp_path: Path, form: str, style: str) -> None:
    data = tmp_path / "data"
    settings = {"train_size": 1, "valid_size": 0, "test_size": 150, "test_file": "test_a.exec"}
    build_wikisql(SHARED / "wikisql", data, format=form, sql_style=style, **settings)
    result = score(data, predictions=answers_of(data, "test"), workers=1, output=tmp_path / "out")
    assert result.wrong == ()
    assert result.examples + result.as_dict()["left_out"] == 150
    assert result.examples >= 149
    official = tmp_path / "out" / "official" / "wikisql"
    source, predicted = (
        [json.loads(line) for line in (official / f"test_a.exec{end}.jsonl").read_text("utf-8").split("\n") if line]
        for end in ("", ".predictions")
    )
    assert [each["query"] for each in predicted] == [each["sql"] for each in source]


@pytest.mark.slow
@needs_data
def test_spider_gold_scores_everything(tmp_path: Path) -> None:
    data = tmp_path / "data"
    build_spider(SHARED / "spider", data, size=120, valid_share=0.02, test_share=0.02)
    result = score(data, predictions=answers_of(data, "train"), split="train", workers=1, output=tmp_path / "out")
    assert result.wrong == ()
    assert result.examples == 120
    assert len((tmp_path / "out" / "official" / "spider" / "gold.sql").read_text("utf-8").splitlines()) == 120
