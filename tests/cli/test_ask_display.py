"""Promises of showing: every width, every cell, and nothing in a cell is obeyed."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from myna.cli.ask_display import Display, Wishes, shown
from myna.cli.bar_chart import bars, reason_against
from myna.cli.cells import cell_text
from myna.cli.line_editing import Completer
from myna.cli.result_table import table_lines
from myna.databases import Result
from myna.errors import QueryError
from myna.foreign_text import visible
from myna.text2sql.asking import Answer


def result(columns: list[str], *rows: tuple[Any, ...], truncated: bool = False) -> Result:
    return Result(tuple(columns), rows, truncated, 0.0)


def lines(shown: Result, width: int = 80, rows: int | None = None) -> list[str]:
    return [line.plain for line in table_lines(shown, width=width, rows=rows)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\tb\nc\r", r"a\tb\nc\r"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069 \u200f", r"\u2066x\u2069 \u200f"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028\x85", r"\u2028\x85"),
        ("姓名\u3000 é 👩\u200d🔬", "姓名\u3000 é 👩\u200d🔬"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out(text: str, said: str) -> None:
    assert visible(text) == said
    assert cell_text(text) == said


@given(st.text(st.characters(), max_size=30))
def test_no_text_steers_a_terminal_or_reorders_a_line(text: str) -> None:
    assert not set(visible(text)) & {
        *map(chr, range(32)),
        *map(chr, range(127, 160)),
        *"\u202a\u202b\u202d\u202e\u2066\u2067",
    }


def test_every_kind_of_cell_is_shown() -> None:
    cells = [None, True, 3, 2.5, "", b"\x00\xff", b"x" * 100]
    assert [cell_text(cell) for cell in cells] == [
        "NULL",
        "true",
        "3",
        "2.5",
        "",
        "x'00ff' (2 bytes)",
        "x'787878787878787878787878…' (100 bytes)",
    ]


def test_numbers_stand_to_the_right_and_null_among_them() -> None:
    shown = result(["name", "age"], ("Ann", 20), ("李华", None), ("Bob", 3.5))
    assert lines(shown) == [
        "name   age",
        "────  ────",
        "Ann     20",
        "李华  NULL",
        "Bob    3.5",
        "(3 rows)",
    ]


def test_a_narrow_terminal_cuts_visibly_and_names_what_does_not_fit() -> None:
    wide = result([f"column {n}" for n in range(9)], tuple(f"a text of some length {n}" for n in range(9)))
    seen = lines(wide, width=40)
    assert all(cell_len(line) <= 40 for line in seen[:3])
    assert "…" in seen[2]
    assert seen[-1] == "(… 4 more columns don't fit: column 5, column 6, column 7, column 8)"


@given(
    st.lists(st.text(max_size=12), min_size=1, max_size=6),
    st.lists(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=90)), min_size=6, max_size=6), max_size=3),
    st.integers(20, 120),
)
def test_the_table_is_never_wider_than_the_terminal(names: list[str], rows: list[list[Any]], width: int) -> None:
    shown = result(names, *(tuple(row[: len(names)]) for row in rows))
    seen = lines(shown, width=width)
    assert all(cell_len(line) <= width for line in seen[: 2 + len(rows) if rows else 0])
    assert len(seen) >= len(rows) + bool(rows) * 2 + 1


def test_rows_that_are_not_shown_are_counted() -> None:
    many = result(["n"], *((n,) for n in range(1_234)))
    assert lines(many, rows=2)[-2:] == ["(1,234 rows)", "(… 1,232 more rows are not shown; --json has all of them)"]
    assert len(lines(many)) == 2 + 1_234 + 1
    assert lines(result(["n"], (1,), truncated=True))[-1] == "(the first 1 rows; the query gives more than is taken)"
    assert lines(result(["a", "b\x1b"])) == [r"(no rows; columns: a, b\x1b)"]


def test_markup_in_cells_is_text() -> None:
    stream = io.StringIO()
    Display(stream).result(result(["[bold]x[/bold]"], ("[red]:smiley: [/]",), ("[link=http://x]y",)))
    assert "[bold]x[/bold]" in stream.getvalue()
    assert "[red]:smiley: [/]" in stream.getvalue()
    assert "[link=http://x]y" in stream.getvalue()


# Bars


def test_a_category_and_a_number_become_bars() -> None:
    shown = result(["school", "count"], ("north", 10), ("south\x1b", 5), ("a very long name of a school", 0))
    assert reason_against(shown) is None
    assert bars(shown, width=30) == [
        "north      │███████████████ 10",
        r"south\x1b  │███████▌ 5",
        "a very lo… │ 0",
    ]


def test_negative_numbers_grow_to_the_left_of_one_zero() -> None:
    drawn = bars(result(["n", "x"], ("a", -2), ("b", 2), ("c", 0)), width=20)
    zero = drawn[1].index("█")
    assert drawn[0].rindex("█") == zero - 1
    assert "█" not in drawn[2]


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (result(["n"], (1,), (2,)), "has 1 column"),
        (result(["a", "b", "c"], (1, 2, 3)), "has 3 columns"),
        (result(["a", "b"], ("x", 1)), "has 1 row"),
        (result(["a", "b"]), "has no rows"),
        (result(["a", "b"], ("x", "y"), ("z", "w")), "column of numbers"),
        (result(["a", "b"], ("x", 1), ("y", None)), "without gaps"),
        (result(["a", "b"], ("x", 1), ("y", math.inf)), "without gaps"),
        (result(["a", "b"], *((str(n), n) for n in range(41))), "at most 40 rows"),
    ],
)
def test_what_is_no_chart_is_told(shown: Result, reason: str) -> None:
    assert reason in str(reason_against(shown))


@given(st.lists(st.tuples(st.text(max_size=20), st.floats(-1e9, 1e9)), min_size=2, max_size=5), st.integers(40, 100))
def test_bars_fit_the_terminal(rows: list[tuple[str, float]], width: int) -> None:
    assert all(cell_len(line) <= width for line in bars(result(["a", "b"], *rows), width=width))


# An answer as a whole


def answer(**changes: Any) -> Answer:
    given = {
        "question": "How many?",
        "sql": "SELECT COUNT(*) FROM t",
        "result": result(["COUNT(*)"], (3,)),
        "error": None,
        "repairs": 0,
        "agreed": 1,
        "of": 1,
        "messages": (),
    }
    return Answer(**{**given, **changes})


def seen(given: Answer, wishes: Wishes | None = None) -> tuple[str, QueryError | None]:
    stream = io.StringIO()
    failed = shown(given, "sqlite", Display(stream), wishes or Wishes())[1]
    return stream.getvalue(), failed


def test_the_sql_comes_first_then_its_meaning_then_its_rows() -> None:
    text, failed = seen(answer(), Wishes(explain="en"))
    assert failed is None
    assert text.splitlines() == [
        "SELECT COUNT(*) FROM t",
        "Reads t.",
        "Shows the number of rows.",
        "",
        "COUNT(*)",
        "────────",
        "       3",
        "(1 row)",
    ]
    assert seen(answer(), Wishes(sql_only=True))[0] == "SELECT COUNT(*) FROM t\n"


def test_votes_repairs_and_notes_are_remarked_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    seen(answer(agreed=2, of=3, repairs=2, notes=("a \x1b[1mnote.",)))
    assert capsys.readouterr().err.splitlines() == [
        "2 of 3 candidates agree on this result.",
        "Mended twice, told what the database said of the query before.",
        r"Note: a \x1b[1mnote.",
    ]


def test_a_failure_shows_the_best_sql_and_its_error_and_no_rows() -> None:
    error = QueryError("no such column: \x1b[2J", "unknown column")
    text, failed = seen(answer(result=None, error=error, repairs=2, agreed=0))
    assert text == "SELECT COUNT(*) FROM t\n"
    assert visible(str(failed)) == (  # as the command line shows it
        r"no answer: the query fails after 2 repairs; what the database says of the best one: no such column: \x1b[2J"
    )
    assert seen(answer(result=None, error=error, agreed=0), Wishes(sql_only=True))[0] == ""
    nothing = QueryError("the model's answer holds no SQL", "syntax")
    text, failed = seen(answer(sql=None, result=None, error=nothing, agreed=0))
    assert text == ""
    assert "holds no SQL" in str(failed)


def test_names_are_completed_whatever_their_case() -> None:
    complete = Completer(["Name", "name of school", "students", "\\schema", '"Position held"'])
    assert [complete("na", n) for n in range(3)] == ["Name", "name of school", None]
    assert complete("\\s", 0) == "\\schema"
    assert complete('"pos', 0) == '"Position held"'
    assert complete("x", 0) is None
