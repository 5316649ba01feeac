"""Lines of JSON: whatever text a record holds, every reader gives back the record that was written."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.builders.tables import read_rows
from myna.cli.ask_session import _as_csv
from myna.cli.generate import _read
from myna.data.folder import Keys, open_split
from myna.data.lines import read_objects, split_lines
from myna.databases import Result
from myna.errors import DataError
from myna.foreign_text import json_text
from myna.reports.comparing.questions import from_file
from myna.runs import EventLog, read_events
from myna.text2sql.asking import Answer
from myna.text2sql.scoring.predictions import read_predictions
from myna.text2sql.scoring.questions import asked_in

BREAKS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r"
"""What ends a line for `str.splitlines` or universal newlines, and none of JSON."""

texts = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from([*BREAKS, "\n", "\0", "\x1b", "\u202e"])))
said = texts.filter(lambda text: bool(text.strip()))


def written(folder: Path, records: list[dict[str, Any]], name: str = "test.jsonl") -> Path:
    """Write records as every command does."""
    path = folder / name
    path.write_bytes(b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in records))
    return path


@given(st.lists(st.tuples(said, said), min_size=1, max_size=4))
def test_every_reader_gives_back_the_record_that_was_written(pairs: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records = [{"prompt": asked, "completion": answer, "text": answer} for asked, answer in pairs]
        path = written(Path(folder), records)
        assert [record for _, record in read_objects(path)] == records
        examples = open_split(Path(folder), "test", keys=Keys())
        assert [tuple(message["content"] for message in each.messages) for each in examples] == pairs
        assert [row.cells for row in read_rows(path)] == records
        assert _read(path) == [asked for asked, _ in pairs]
        answers = read_predictions(path, range(len(pairs)), len(pairs), "test.jsonl").answers
        assert list(answers) == [answer for _, answer in pairs]
        packed = Path(folder) / "packed.jsonl.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert [record for _, record in read_objects(packed)] == records

        listed = written(Path(folder), [{"question": asked, "gold": sql} for asked, sql in pairs], "questions.jsonl")
        found = from_file(listed, keys=Keys(), data=None, database=None).listed
        assert [(each.asked, each.expected) for each in found] == [(asked.strip(), sql.strip()) for asked, sql in pairs]


@given(st.lists(st.dictionaries(texts, texts), max_size=4))
def test_an_event_log_gives_back_its_events(events: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with EventLog(path) as log:
            for event in events:
                log.append(event)
        assert read_events(path) == events


@given(st.recursive(texts | st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.lists))
def test_json_for_programs_is_one_line_of_the_same_value_and_steers_no_terminal(value: Any) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert not set(text) & {*map(chr, range(32)), *map(chr, range(127, 160)), *"\u2028\u2029\u202a\u202e\u2066"}


@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_a_saved_csv_file_gives_back_its_cells(rows: list[tuple[str, str]]) -> None:
    answer = Answer("q", "SELECT", Result(("a\r", "b\u2028"), tuple(rows), False, 0.0), None, 0, 1, 1, ())
    with io.StringIO(_as_csv(answer), newline="") as file:
        assert [tuple(row) for row in csv.reader(file)] == [("a\r", "b\u2028"), *rows]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n")).map(lambda text: text.rstrip("\r"))))
def test_only_a_newline_ends_a_line(lines: list[str]) -> None:
    assert split_lines("".join(f"{line}\n" for line in lines)) == lines
    assert split_lines("".join(f"{line}\r\n" for line in lines)) == lines


def test_a_question_is_whole_whatever_breaks_are_in_it() -> None:
    asked = f"how many{BREAKS}students?"
    assert asked_in(f"table: t\nQ: {asked}\nA:") == asked


@pytest.mark.parametrize("mark", BREAKS)
def test_plain_prompts_and_questions_are_whole(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(f"one{mark}prompt\nanother\r\n", encoding="utf-8", newline="")
    assert _read(path) == [f"one{mark}prompt", "another"]
    listed = from_file(path, keys=Keys(), data=None, database=None).listed
    assert [each.asked for each in listed] == [f"one{mark}prompt", "another"]


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"a": "\u2028"}\n["b"]\n', "utf-8")
    with pytest.raises(DataError, match=r"answers\.jsonl:2: expected a JSON object, found a list"):
        list(read_objects(path))
