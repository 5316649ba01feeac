"""Messages of a readable length, whatever megabytes a file, a database or a command line holds."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scored_data
from myna.builders.tables import column_names
from myna.cli import main
from myna.data.folder import open_split
from myna.databases import Database
from myna.errors import LONGEST_MESSAGE, DataError, MynaError, QueryError, bounded, cut, did_you_mean, excerpt, listing
from myna.text2sql.wikisql.form import read_tables

LONG = "x" * 3_000_000
MOST = LONGEST_MESSAGE + 100  # with the mark of an error or the JSON around it


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("a\nb", r"'a\nb'"),
        (17, "17"),
        (None, "None"),
        ("y" * 200, "'" + "y" * 120 + "'… (80 more characters)"),
        (["a"] * 50, "['a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', ...]"),
    ],
)
def test_a_value_is_named_by_its_beginning(value: object, said: str) -> None:
    assert excerpt(value) == said


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_value_is_long_in_a_message(value: object) -> None:
    assert len(excerpt([value] * 100)) < 1_000
    assert len(listing([value] * 100)) < 3_000


def test_the_end_of_a_long_message_is_kept_because_it_says_what_to_do() -> None:
    message = bounded(f"file:1: {LONG}; write it shorter")
    assert len(message) <= LONGEST_MESSAGE
    assert message.startswith("file:1: xxx")
    assert message.endswith("xxx; write it shorter")
    assert "2,996,126 characters left out" in message
    assert bounded("short") == "short"


def test_every_error_is_bounded_wherever_it_is_made() -> None:
    for error in (MynaError(LONG), DataError(LONG), QueryError(LONG, "syntax")):
        assert len(str(error)) <= LONGEST_MESSAGE
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_name_is_no_misspelling_and_costs_no_time() -> None:
    assert did_you_mean(LONG, [LONG + "y", "x"]) == ""
    assert cut("short") == "short"


LONG_LINES: dict[str, Any] = {
    "many keys": {f"key{number}": 1 for number in range(100_000)},
    "a long key": {LONG: 1},
    "a long role": {"messages": [{"role": LONG, "content": "x"}]},
    "a message of long keys": {"messages": [{LONG: 1}]},
    "long facts": {"prompt": "q", "completion": "a", "sql": {"gold": [LONG]}},
}


@pytest.mark.parametrize("name", LONG_LINES)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_of_megabytes_is_a_message_of_a_screen(
    name: str, as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps(LONG_LINES[name]) + "\n", "utf-8")
    (tmp_path / "p.sql").write_text("SELECT 1\n", "utf-8")
    command = ["score", "--data", str(tmp_path), "--predictions", str(tmp_path / "p.sql")]
    assert main([*command, *["--json"] * as_json]) == 1
    captured = capsys.readouterr()
    written = captured.out if as_json else captured.err
    assert "test.jsonl:1: " in written
    assert len(written) < MOST


def test_other_files_of_megabytes_are_messages_of_a_screen(tmp_path: Path) -> None:
    table, csv = tmp_path / "a.tables.jsonl", tmp_path / "a.csv"
    table.write_text(json.dumps({"id": LONG, "header": LONG, "types": []}), "utf-8")
    csv.write_text(f"{LONG},{LONG}\n", "utf-8")
    for read in (lambda: list(read_tables(table)), lambda: column_names(csv)):
        with pytest.raises(DataError) as caught:
            read()
        assert len(str(caught.value)) < 1_000


def test_sql_of_megabytes_is_a_message_of_a_screen(tmp_path: Path) -> None:
    with Database.open(scored_data.database(tmp_path / "school.sqlite")) as database:
        for sql in (f'SELECT "{LONG[:400_000]}" FROM students', f"SELECT {LONG[:400_000]} FROM students"):
            with pytest.raises(QueryError) as caught:
                database.run(sql)
            assert len(str(caught.value)) < MOST


def test_usage_of_megabytes_is_a_message_of_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    longest = LONG[:100_000]  # systems take no longer arguments
    assert main([longest]) == 2
    assert main(["generate", "--model", longest, "--prompt", "x"]) == 1
    assert len(capsys.readouterr().err) < 3 * MOST


def test_the_skipped_lines_of_a_folder_are_named_shortly(tmp_path: Path) -> None:
    lines = [json.dumps({LONG: 1}), json.dumps({"text": "kept"})]
    (tmp_path / "test.jsonl").write_text("\n".join(lines), "utf-8")
    (skipped,) = open_split(tmp_path, "test", on_bad_example="skip").skipped
    assert len(skipped.reason) < 1_000
