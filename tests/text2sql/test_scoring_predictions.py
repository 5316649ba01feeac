"""Promises of reading prediction files: whatever their form, one answer for each question or an error that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.errors import DataError
from myna.text2sql.scoring.predictions import ANSWER_KEYS, read_predictions

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=30)
"""Anything but a newline, which divides answers: U+2028 and the like are ordinary characters."""


def read(path: Path, content: bytes | str, count: int, *, chosen: list[int] | None = None) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    indices = chosen if chosen is not None else list(range(count))
    return list(read_predictions(path, indices, count, "test.jsonl").answers)


@given(answers=st.lists(LINE.filter(lambda text: not text.lstrip().startswith("{")), min_size=1, max_size=8))
def test_plain_lines_come_back_as_they_are(tmp_path_factory: pytest.TempPathFactory, answers: list[str]) -> None:
    path = tmp_path_factory.mktemp("p") / "p.sql"
    if answers[0].startswith("\ufeff"):
        answers[0] = answers[0].lstrip("\ufeff")
    assert read(path, "".join(f"{answer}\n" for answer in answers), len(answers)) == answers


@given(
    answers=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=8)
)
def test_json_lines_come_back_with_every_character(
    tmp_path_factory: pytest.TempPathFactory, answers: list[str | None]
) -> None:
    path = tmp_path_factory.mktemp("p") / "p.jsonl"
    content = "".join(json.dumps({"sql": answer}) + "\n" for answer in answers)
    assert read(path, content, len(answers)) == [answer or "" for answer in answers]


@pytest.mark.parametrize("key", ANSWER_KEYS)
def test_the_usual_keys_hold_the_answer(tmp_path: Path, key: str) -> None:
    assert read(tmp_path / "p.txt", f'{{"prompt": "q", "{key}": "SELECT 1"}}\n', 1) == ["SELECT 1"]


def test_what_generate_writes_is_read(tmp_path: Path) -> None:
    record = {"messages": [], "text": "SELECT 1", "prompt_tokens": 3, "stopped": "end"}
    assert read(tmp_path / "p.jsonl", json.dumps(record) + "\n", 1) == ["SELECT 1"]


@pytest.mark.parametrize("content", ["a\nb\n", "a\nb", "a\r\nb\r\n", "\ufeffa\nb\n", "a\nb\n\n\n"])
def test_ends_of_lines_and_of_the_file_do_not_matter(tmp_path: Path, content: str) -> None:
    assert read(tmp_path / "p.sql", content, 2) == ["a", "b"]


def test_empty_lines_are_empty_answers(tmp_path: Path) -> None:
    assert read(tmp_path / "p.sql", "\na\n\n", 3) == ["", "a", ""]
    assert read(tmp_path / "p.jsonl", '{"sql": "a"}\n\n{"sql": null}\n', 3) == ["a", "", ""]


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_lines_is_an_error_that_says_both(tmp_path: Path, count: int) -> None:
    with pytest.raises(DataError, match=rf"p\.sql: 2 predictions, but test\.jsonl has {count} questions"):
        read(tmp_path / "p.sql", "a\nb\n", count)


def test_predictions_may_be_for_all_or_for_the_chosen_questions(tmp_path: Path) -> None:
    assert read(tmp_path / "p.sql", "a\nb\nc\nd\n", 4, chosen=[1, 3]) == ["b", "d"]
    assert read(tmp_path / "p.sql", "b\nd\n", 4, chosen=[1, 3]) == ["b", "d"]
    with pytest.raises(DataError, match=r"3 predictions, but test\.jsonl has 4 questions, 2 chosen"):
        read(tmp_path / "p.sql", "a\nb\nc\n", 4, chosen=[1, 3])


def test_bytes_that_are_no_text_cost_one_answer(tmp_path: Path) -> None:
    (tmp_path / "p.sql").write_bytes(b"SELECT 1\nSELECT '\xff\xfe'\nSELECT 3\n")
    predictions = read_predictions(tmp_path / "p.sql", range(3), 3, "test.jsonl")
    assert predictions.answers == ("SELECT 1", "SELECT '\ufffd\ufffd'", "SELECT 3")
    assert predictions.notes == ("p.sql: 1 line holds bytes that are not UTF-8, read as \ufffd; the first is line 2",)


def test_half_a_surrogate_pair_becomes_a_character(tmp_path: Path) -> None:
    (answer,) = read(tmp_path / "p.jsonl", '{"sql": "SELECT \\ud800"}\n', 1)
    answer.encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfeS\x00", "UTF-16"),
        (b'{"sql": "a"}\n{"sql": \n', r"p\.jsonl:2: not JSON"),
        (b'{"sql": "a"}\n{"quest": "b"}\n', r"p\.jsonl:2: none of the keys .* \(found: quest\)"),
        (b'{"sql": "a"}\n{"sql": ["b"]}\n', r'p\.jsonl:2: "sql" must be the answer as a text, found list'),
        (b'{"sql": "a"}\n[1]\n', r"p\.jsonl:2: none of the keys"),
    ],
)
def test_what_is_no_prediction_file_is_said_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path / "p.jsonl", content, 2)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.sql: can't read predictions from it \(No such file or directory\)"):
        read_predictions(tmp_path / "none.sql", [0], 1, "test.jsonl")


def test_a_line_of_a_megabyte_is_one_answer(tmp_path: Path) -> None:
    assert read(tmp_path / "p.sql", "x" * 2**20 + "\nb\n", 2) == ["x" * 2**20, "b"]
