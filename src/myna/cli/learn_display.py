"""What a person sees of learning from corrections: its stages while it works, then what changed, and what is kept.

In: events and a result of `myna.text2sql.learning`. Text of a model or a database is shown, never obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from myna.cli import score_display, train_display
from myna.cli.terminal import Styled, say

if TYPE_CHECKING:
    from myna.text2sql.learning import Change, LearnResult, Listener
    from myna.text2sql.learning.outcome import Kind

_SHOWN = 10
"""Of each kind; the new run's folder has all."""
_LONGEST = 500
"""Characters of a line that are shown."""

_HEADINGS: dict[Kind, str] = {"still wrong": "Still wrong", "newly wrong": "Newly wrong", "fixed": "Fixed"}
_GROUPS = {"test": "Test", "held out": "Held-out corrections", "trained": "Trained corrections"}


@contextmanager
def display(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that shows each stage on `stream`, with what training and scoring show of theirs."""
    from myna.text2sql.learning import Stage

    with ExitStack() as shown:
        told: Callable[[Any], None] | None = None

        def listener(event: Any) -> None:
            nonlocal told
            if isinstance(event, Stage):
                shown.close()  # the bar of the stage before
                say(f"{event.text} …", stream=stream)
                if event.name == "training":
                    told = shown.enter_context(train_display.display(stream))
                else:
                    told = shown.enter_context(score_display.display(stream))
            elif told is not None:
                told(event)

        yield listener


def show_result(result: LearnResult, report: Path, stream: TextIO) -> None:
    """Print what was left out, what changed question by question, the scores, and which adapter is kept."""
    sections = [_left_out(result), *(_changed(result, kind) for kind in _HEADINGS), _scores(result)]
    for lines in sections:
        if lines:
            say(Styled(lines[0], "1"), stream=stream)
            for each in (*lines[1:], ""):
                say(_line(each), stream=stream)
    for note in result.notes:
        say(_line(f"Note: {note.removesuffix('.')}."), stream=stream)
    say(Styled(f"Kept the {result.verdict.kept} adapter:", "1"), f" {result.verdict.why}.", stream=stream)
    for name, value in (("Adapter", result.adapter), ("Changes", result.changes_file), ("Report", report)):
        say(Styled(f"{name:<8}", "1"), f" {value}", stream=stream)


def _left_out(result: LearnResult) -> list[str]:
    count = len(result.left_out)
    if not count:
        return []
    lines = [f"{count:,} correction{'' if count == 1 else 's'} left out"]
    for each in result.left_out[:_SHOWN]:
        lines += [f"  {each.where}  {_first_line(each.question)}", f"    {each.sql}", f"    {each.reason}"]
    return [*lines, *_more(count, result)]


def _changed(result: LearnResult, kind: Kind) -> list[str]:
    changes = sorted(result.changed(kind), key=lambda change: change.group == "test")  # corrections first
    if not changes:
        return []
    lines = [f"{_HEADINGS[kind]} ({len(changes):,})"]
    for change in changes[:_SHOWN]:
        lines += _shown(change)
    return [*lines, *_more(len(changes), result)]


def _shown(change: Change) -> list[str]:
    answers = [("gold", change.gold), ("before", change.before)]
    if change.after != change.before:
        answers.append(("after", change.after))
    return [
        f"  {change.where} ({change.group})  {_first_line(change.question)}",
        *(f"    {name:<6}  {answer}" for name, answer in answers),
    ]


def _more(count: int, result: LearnResult) -> list[str]:
    return [f"  … and {count - _SHOWN:,} more, see {result.changes_file}"] if count > _SHOWN else []


def _scores(result: LearnResult) -> list[str]:
    rows: list[Sequence[str]] = [("Right", "before", "after", "of")]
    for group, both in result.scores.items():
        rows.append((_GROUPS[group], f"{both.before.right:,}", f"{both.after.right:,}", f"{both.after.of:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _line(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
