"""What a person sees of an answer: the SQL, then its rows, then what should be known about it.

In: answers of `myna.text2sql.asking`. Text of the database is shown, never interpreted: not by the terminal, and not as
markup. Knows nothing of how answers come about.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from myna.cli.bar_chart import bars, reason_against
from myna.cli.result_table import table_lines
from myna.cli.terminal import is_terminal, rich_console, say, show_text
from myna.errors import QueryError
from myna.foreign_text import visible

if TYPE_CHECKING:
    from rich.text import Text

    from myna.databases import Result
    from myna.text2sql.asking import Answer
    from myna.text2sql.asking.asker import Listener, Progress
    from myna.text2sql.asking.explanation_words import Language

_FEWEST_ROWS = 10
_SPINNER = 3
"""Cells before the words of what goes on, and one after them."""
_AROUND = 8
"""Lines of a terminal that are not the table's rows."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is shown of an answer. explain: the language to explain the SQL in, None not to."""

    sql_only: bool = False
    explain: Language | None = None
    chart: bool = False


class Display:
    """Shows answers on one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = rich_console(stream, soft_wrap=True)

    def sql(self, sql: str) -> None:
        """Show a query, highlighted where there are colours."""
        from rich.syntax import Syntax

        if not self._stream.isatty():
            show_text(f"{sql}\n", self._stream)
            return
        shown = Syntax("", "sql", theme="ansi_dark").highlight(visible(sql, keep="\n"))
        shown.rstrip()
        self._lines([shown])

    def result(self, result: Result) -> None:
        """Show rows: on a terminal as many as it has room for."""
        rows = max(self._console.height - _AROUND, _FEWEST_ROWS) if is_terminal(self._stream) else None
        self._lines(table_lines(result, width=self._console.width, rows=rows))

    def chart(self, result: Result) -> None:
        """Draw bars, or say why not."""
        reason = reason_against(result)
        if reason is None:
            self.lines(bars(result, width=self._console.width))
        else:
            self.lines([f"No chart: {reason}."])

    def lines(self, lines: Iterable[str]) -> None:
        """Show text that may hold anything, a line each."""
        from rich.text import Text

        self._lines([Text(visible(line)) for line in lines])

    def paragraphs(self, texts: Iterable[str]) -> None:
        """Show sentences, broken between words where the terminal ends."""
        from rich.text import Text

        for text in texts:
            self._lines(Text(visible(text)).wrap(self._console, self._console.width))

    def _lines(self, lines: Iterable[Text]) -> None:
        for line in lines:
            self._console.print(line)
        self._stream.flush()


def shown(answer: Answer, dialect: str, display: Display, wishes: Wishes) -> tuple[dict[str, Any], QueryError | None]:
    """Show an answer as it is wished; return what a program reads of it, and why there is none where there is none."""
    from myna.text2sql.asking import explain

    as_dict = answer.as_dict()
    if answer.sql is not None and (answer.result is not None or not wishes.sql_only):
        display.sql(answer.sql)
    if answer.result is None:
        assert answer.error is not None
        return as_dict, QueryError(_why_not(answer), answer.error.kind)
    if wishes.explain is not None and answer.sql is not None:
        as_dict["explanation"] = list(explain(answer.sql, dialect, language=wishes.explain))
        display.paragraphs(as_dict["explanation"])
    if not wishes.sql_only:
        display.lines([""])
        display.result(answer.result)
    if wishes.chart:
        display.lines([""])
        display.chart(answer.result)
    for remark in _remarks(answer):
        say(remark, stream=sys.stderr)
    return as_dict, None


def _remarks(answer: Answer) -> Iterator[str]:
    """Say what should be known beside the rows: votes, repairs, notes."""
    if answer.of > 1:
        yield f"{answer.agreed} of {answer.of} candidates agree on this result."
    if answer.repairs:
        yield f"Mended {'once' if answer.repairs == 1 else 'twice'}, told what the database said of the query before."
    yield from (f"Note: {note.removesuffix('.')}." for note in answer.notes)


def _why_not(answer: Answer) -> str:
    """Say why there is no answer, in one sentence."""
    reason = " ".join(str(answer.error).split())
    if answer.sql is None:
        return f"no answer: {reason}; ask in other words, or with a model that was trained on SQL"
    which = "the query" if answer.of == 1 else f"each of {answer.of} candidates"
    tried = f" after {answer.repairs} repair{'' if answer.repairs == 1 else 's'}" if answer.repairs else ""
    return f"no answer: {which} fails{tried}; what the database says of the best one: {reason}"


@contextmanager
def progress(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that shows on a terminal what goes on until the block ends, and leaves nothing behind."""
    if not is_terminal(stream):
        yield lambda progress, detail: None
        return
    from rich.text import Text

    console = rich_console(stream)
    with console.status("Reading …") as status:

        def listener(stage: Progress, detail: str) -> None:
            words = {"answering": "Thinking …", "running": "Running the query …", "repairing": f"Mending: {detail}"}
            text = Text(visible(words[stage]))
            text.truncate(max(console.width - _SPINNER, 1), overflow="ellipsis")
            status.update(text)

        yield listener
