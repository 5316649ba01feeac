"""What a person sees of a scoring: progress while it runs, then the rates, their groups, and what went wrong.

In: events and a result of `myna.text2sql.scoring`. Knows nothing of how they come about.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from myna.cli.terminal import Styled, is_terminal, rich_console, say

if TYPE_CHECKING:
    from myna.text2sql.scoring import Listener, Progress, Rates, ScoreResult
    from myna.text2sql.scoring.intervals import Rate

_DATABASES = 10
"""Databases shown, those with the lowest score; `score.json` has all."""

_Table: TypeAlias = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heading and rows."""

_LABELS = {"answered": "Answering", "judged": "Executing"}


@contextmanager
def display(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that shows progress on `stream` until the block ends: a bar, or a line each tenth of the way."""
    if not is_terminal(stream):
        yield _lines(stream)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Bars(*columns, console=rich_console(stream), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def listener(event: Progress) -> None:
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(_LABELS[event.stage], total=event.total)
            bars.update(tasks[event.stage], completed=event.done)

        yield listener


def _lines(stream: TextIO) -> Callable[[Progress], None]:
    shown: dict[str, int] = {}

    def listener(event: Progress) -> None:
        tenth = 10 * event.done // event.total
        if tenth > shown.setdefault(event.stage, 0):
            shown[event.stage] = tenth
            say(f"{_LABELS[event.stage]}: {event.done:,} of {event.total:,}", stream=stream)

    return listener


def show_result(result: ScoreResult, stream: TextIO) -> None:
    """Print the score, its groups and the causes of wrong answers."""
    groups = [
        _groups("Difficulty", result.groups["difficulty"]),
        _groups("Construct", result.groups["construct"]),
        _databases(result.groups["database"]),
        _causes(result),
    ]
    _show(result, [_rates(result.rates), *groups], stream)


def show_rates(result: ScoreResult, stream: TextIO) -> None:
    """Print the score alone."""
    _show(result, [_rates(result.rates)], stream)


def _show(result: ScoreResult, tables: Sequence[_Table | None], stream: TextIO) -> None:
    width = shutil.get_terminal_size().columns if is_terminal(stream) else None
    for each in tables:
        if each is not None:
            lines = table(*each, width=width)
            say(Styled(lines[0], "1"), stream=stream)
            for line in (*lines[1:], ""):
                say(line, stream=stream)
    for note in result.notes:
        say(f"Note: {note.removesuffix('.')}.", stream=stream)
    if result.output is not None:
        say(f"Results: {result.output} (score.json, answers.jsonl, wrong.md)", stream=stream)


def _rates(rates: Rates) -> _Table:
    rows = [("Execution accuracy", rates.execution), ("Exact match", rates.exact), ("Valid SQL", rates.valid)]
    cells = [(name, _share(rate), _interval(rate), f"{rate.right:,} of {rate.of:,}") for name, rate in rows]
    return ("Score", "%", "95 % interval", "answers"), cells


def _groups(heading: str, groups: Mapping[str, Rates]) -> _Table | None:
    if not groups:
        return None
    cells = [_row(name, rates) for name, rates in groups.items()]
    return (heading, "questions", "execution", "95 % interval", "exact"), cells


def _databases(groups: Mapping[str, Rates]) -> _Table | None:
    if len(groups) < 2:
        return None
    worst = sorted(groups, key=lambda name: (groups[name].execution.share or 0.0, groups[name].exact.share or 0.0))
    heading = "Database" if len(groups) <= _DATABASES else f"Database (the lowest {_DATABASES} of {len(groups)})"
    return _groups(heading, {name: groups[name] for name in worst[:_DATABASES]})


def _causes(result: ScoreResult) -> _Table | None:
    if not result.causes:
        return None
    total = sum(result.causes.values())
    ranked = sorted(result.causes.items(), key=lambda item: -item[1])
    cells = [(cause, f"{count:,}", f"{100 * count / total:.1f}") for cause, count in ranked]
    return (f"Cause of {total:,} wrong answers", "answers", "%"), cells


def _row(name: str, rates: Rates) -> tuple[str, ...]:
    main = rates.execution if rates.execution.of else rates.exact
    return name, f"{rates.exact.of:,}", _share(rates.execution), _interval(main), _share(rates.exact)


def _share(rate: Rate) -> str:
    return "–" if rate.share is None else f"{100 * rate.share:.1f}"


def _interval(rate: Rate) -> str:
    interval = rate.interval
    return "–" if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> list[str]:
    """Return lines with the first column to the left and numbers to the right.

    width: of the terminal; the last columns are left out where it is too narrow, but for the first two.
    """
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]
    while width is not None and len(widths) > 2 and sum(widths) + 2 * (len(widths) - 1) > width:
        widths.pop()
    return [
        "  ".join(
            cell.ljust(size) if column == 0 else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in (heading, *rows)
    ]
