"""What a demo shows: commands that can be pasted, words that fit, marks that say right and wrong, on any stream."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.cli.demo_display import DemoDisplay, _wrapped
from myna.databases import Result
from myna.errors import QueryError
from myna.starter.events import Asked, Command, Opened, Step
from myna.starter.result import Change, DemoResult
from myna.text2sql.asking import Answer
from myna.text2sql.scoring.intervals import Rate

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


@given(st.lists(words, max_size=8), st.integers(20, 100))
def test_a_shown_command_is_read_by_a_shell_as_the_words_it_stands_for(arguments: list[str], width: int) -> None:
    shown = "\n".join(_wrapped(("myna", *arguments), width))
    assert shown.startswith("$ myna")
    assert shlex.split(shown[2:].replace("\\\n", "")) == ["myna", *arguments]


def test_a_question_with_an_apostrophe_is_shown_as_a_person_would_type_it() -> None:
    assert _wrapped(("myna", "ask", "a.sqlite", "What is Wang Junjian's age?"), 80) == [
        '$ myna ask a.sqlite "What is Wang Junjian\'s age?"'
    ]


def answer(rows: tuple[tuple[object, ...], ...] | None) -> Answer:
    question = "What is Wang Junjian's age?"
    if rows is None:
        return Answer(question, None, None, QueryError("there is no SQL in the answer", "syntax"), 2, 0, 1, ())
    result = Result(("Age",), rows, truncated=False, seconds=0.0)
    return Answer(question, "SELECT Age FROM students", result, None, 0, 1, 1, ())


def story(display: DemoDisplay) -> None:
    display(Opened(Path("myna-demo"), again=True))
    display(Step(6, 8, "Questions", "First as it was, then trained; answers are SQL that runs, shown with its rows."))
    asked = ("myna", "ask", "myna-demo/students.sqlite", "What is Wang Junjian's age?", "--model", "starter")
    display(Command("ask", asked))
    display(Asked(answer(((15,),)), "en", tuned=False, right=True))
    display(Command("ask", (*asked[:4], "--adapter-path", "myna-demo/run")))
    display(Asked(answer(((16,),)), "en", tuned=True, right=False))
    display(Command("ask", (*asked[:4], "--adapter-path", "myna-demo/run")))
    display(Asked(answer(None), "en", tuned=True, right=False))


@pytest.mark.parametrize("columns", [40, 80])
def test_every_line_fits_a_narrow_window(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    with DemoDisplay(stream) as display:
        story(display)
        result = DemoResult(Path("d"), Path("d/run/report.html"), _change(30, 90), _change(50, 45), (), 170.2)
        display.show_result(result)
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= columns
    assert "\x1b" not in shown


def test_right_and_wrong_are_marked_and_a_failure_is_shown_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    with DemoDisplay(stream) as display:
        story(display)
    shown = stream.getvalue()
    assert shown.count("✓ right") == 1
    assert shown.count("✗ wrong") == 2
    assert "there is no SQL in the answer" in shown
    assert "what an earlier demo left there is gone" in shown


def _change(before: int, after: int) -> Change:
    return Change(Rate(before, 100), Rate(after, 100))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_stay_away_where_they_are_not_wanted(setting: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    display = DemoDisplay(stream)
    display(Step(1, 8, "Data from a database", "Words."))
    assert stream.getvalue() == "\n1/8  Data from a database\nWords.\n"
