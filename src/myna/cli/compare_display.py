"""What a person sees of `myna compare`: what is being measured, then the table and the answers.

The table takes what room there is: runs beside each other where they fit, else below each other, else a line for each
figure. In: a `Comparison`. Knows nothing of how it came about.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from myna.cli.terminal import is_terminal, rich_console, say
from myna.foreign_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from myna.reports.comparing.comparison import Comparison
    from myna.reports.comparing.judging import JudgedAnswer
    from myna.reports.comparing.processes import Listener, Progress
    from myna.reports.comparing.tables import Row, Section

_WIDTH_OF_FILES = 100
"""Columns where no terminal says how many there are."""
_NARROW = 60
"""Columns below which answers stand under their run's name."""
_LOSS_ROWS = 12
_QUESTIONS = 8
_CHARACTERS = 300
"""Limits of what a terminal shows; the page has more."""
_BEST = "*"


@contextmanager
def progress(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that says on `stream` what is being measured: one line that changes, or a line for each stage."""
    if not is_terminal(stream):
        yield lambda event: say(_words(event), stream=stream) if event.number <= 1 else None
        return
    from rich.text import Text

    with rich_console(stream).status("Reading …") as status:
        # a plain string would be read as markup here, whatever the console does elsewhere
        yield lambda event: status.update(Text(visible(_words(event))))


def _words(event: Progress) -> str:
    if event.stage == "testing":
        return f"{event.run}: measuring the test loss"
    return f"{event.run}: answering {event.number} of {event.total}"


def show(comparison: Comparison, stream: TextIO) -> None:
    """Print the comparison."""
    from rich.text import Text

    from myna.reports.comparing.tables import NOISE, missing, refusals, sections

    width = shutil.get_terminal_size((_WIDTH_OF_FILES, 24)).columns
    console = rich_console(stream, width=width, soft_wrap=False)
    names = [visible(subject.name) for subject in comparison.subjects]
    table = sections(comparison)
    _show_sections(console, table, names)
    if any(row.best for section in table for row in section.rows):
        words = f"{_BEST} the best; of speeds, times and memory all that are within {NOISE:.0%} of it"
        console.print(Text(words, "dim"))
    _show_losses(console, comparison, names)
    _show_answers(console, comparison, names)
    for refusal in refusals(comparison):
        console.print(Text(visible(refusal), "yellow"))
    for note in comparison.notes:
        console.print(Text(visible(f"Note: {note}.")))
    for who, line in missing(comparison):
        console.print(Text(visible(f"{who}: {line}"), "dim"))
    if comparison.report is not None:
        console.print(Text(visible(f"Page: {comparison.report}")), soft_wrap=True)


def _show_sections(console: Console, sections: Sequence[Section], names: Sequence[str]) -> None:
    """Print the table: in one piece with a column for each run where that fits, else section by section."""
    together = _table(["", *names])
    for section in sections:
        together.add_row(_bold(section.title))
        for row in section.rows:
            together.add_row(f"  {row.name}", *_cells(row))
    if _fits(console, together):
        console.print(together)
        return
    for section in sections:
        # what fits best reads best: runs across, runs down, or one below the other
        across = _table([section.title, *names])
        for row in section.rows:
            across.add_row(row.name, *_cells(row))
        down = _table([section.title, *(row.short for row in section.rows)])
        for place, name in enumerate(names):
            down.add_row(name, *(_cells(row)[place] for row in section.rows))
        fitting = [table for table in (across, down) if _fits(console, table)]
        console.print(fitting[0] if fitting else _list(section, names))
        if section is not sections[-1]:
            console.print()


def _list(section: Section, names: Sequence[str]) -> Text:
    from rich.text import Text

    text = Text()
    text.append(f"{section.title}\n", "bold")
    for row in section.rows:
        if section.words and len(set(row.cells)) == 1:
            text.append(f"{row.name}: ").append(_cells(row)[0]).append("\n")
            continue
        text.append(f"{row.name}\n")
        for name, cell in zip(names, _cells(row), strict=True):
            text.append(f"  {name}: ").append(cell).append("\n")
    text.rstrip()
    return text


def _cells(row: Row) -> list[Text]:
    """Return a row's cells; the best one is marked by a sign too, because not everybody sees colours."""
    from rich.text import Text

    return [
        Text(f"{visible(cell)}{_BEST}", "bold green") if place in row.best else Text(visible(cell))
        for place, cell in enumerate(row.cells)
    ]


def _bold(words: str) -> Text:
    from rich.text import Text

    return Text(words, "bold")


def _table(headings: Sequence[str]) -> Table:
    """Return a table with names to the left and figures to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, 2), header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(_bold(heading), justify="right" if place else "left", no_wrap=True)
    return table


def _fits(console: Console, table: Table) -> bool:
    return console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width


def _show_losses(console: Console, comparison: Comparison, names: Sequence[str]) -> None:
    """Print losses by iteration: train and validation beside each other, or one table after the other."""
    from myna.reports.comparing.tables import NONE, loss_rows

    rows, left_out = loss_rows(comparison, _LOSS_ROWS)
    if not rows:
        return
    both = _table(["Iteration", *(f"{name} {kind}" for name in names for kind in ("train", "valid"))])
    single = {kind: _table([f"Iteration, {kind}", *names]) for kind in ("train", "valid")}
    numbered = {
        kind: _table([f"Iteration, {kind}", *(str(number) for number, _ in enumerate(names, start=1))])
        for kind in ("train", "valid")
    }
    for row in rows:
        pairs = zip(row.train, row.valid, strict=True)
        both.add_row(f"{row.iteration:,}", *(loss for pair in pairs for loss in pair))
        for kind, losses in (("train", row.train), ("valid", row.valid)):
            if set(losses) != {NONE}:
                single[kind].add_row(f"{row.iteration:,}", *losses)
                numbered[kind].add_row(f"{row.iteration:,}", *losses)
    console.print()
    if _fits(console, both):
        console.print(both)
    else:
        fitting = all(_fits(console, table) for table in single.values())
        if not fitting:
            console.print(_bold(", ".join(f"{number} is {name}" for number, name in enumerate(names, start=1))))
        for table in (single if fitting else numbered).values():
            console.print(table)
            console.print()
    if left_out:
        console.print(f"(… {left_out:,} more iterations; the page has more)", style="dim")
    console.print()


def _show_answers(console: Console, comparison: Comparison, names: Sequence[str]) -> None:
    """Print the questions, and under each the answers of all runs."""
    answering = [
        (name, subject.answers) for name, subject in zip(names, comparison.subjects, strict=True) if subject.answers
    ]
    if not answering:
        return
    for number, question in enumerate(comparison.questions[:_QUESTIONS]):
        console.print(_bold(f"Question {number + 1} of {len(comparison.questions)}: {_line(question.asked)}"))
        rows = [("expected", "", _line(question.expected))] if question.expected else []
        rows += [(name, _verdict(answers[number]), _answer(answers[number])) for name, answers in answering]
        _show_rows(console, rows)
        console.print()
    if len(comparison.questions) > _QUESTIONS:
        console.print(f"(… {len(comparison.questions) - _QUESTIONS} more questions; the page has them)", style="dim")


def _show_rows(console: Console, rows: Sequence[tuple[str, str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    if console.width < _NARROW:
        for name, verdict, text in rows:
            console.print(Text(f"  {name}{f' ({verdict})' if verdict else ''}:"))
            console.print(Text(f"    {text}"))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(max_width=console.width // 4, overflow="fold")
    table.add_column(max_width=console.width // 4)
    table.add_column(overflow="fold")
    for name, verdict, text in rows:
        style = "green" if verdict.startswith("right") else "yellow" if verdict.startswith("wrong") else ""
        table.add_row(Text(f"  {name}"), Text(verdict, style), Text(text))
    console.print(table)


def _verdict(answer: JudgedAnswer) -> str:
    from myna.reports.comparing.page import verdict_words

    return visible(verdict_words(answer))


def _answer(answer: JudgedAnswer) -> str:
    return f"(no answer: {_line(answer.error)})" if answer.error else _line(answer.text) or "(nothing)"


def _line(text: str) -> str:
    """Return text on one line, cut visibly, that a terminal shows and never obeys."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= _CHARACTERS else f"{line[: _CHARACTERS - 1]}…"
