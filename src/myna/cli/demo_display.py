"""What a person sees of a demo: each step's title, its command, and what that command prints.

In: events of `myna.starter.events`. What a command shows is shown by the functions that show it for the command itself.
Knows nothing of how steps are done.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from myna.builders.writer import Built
from myna.cli import score_display, train_display
from myna.cli.ask_display import Display, Wishes, shown
from myna.cli.build import show_built
from myna.cli.fuse import show_fused
from myna.cli.terminal import Styled, is_terminal, rich_console, say
from myna.exporting.fusing import FuseResult
from myna.starter.events import Asked, Command, DemoEvent, Made, Opened, Pair, Step, Working
from myna.text2sql.scoring import Progress, ScoreResult
from myna.training import TrainResult

if TYPE_CHECKING:
    from myna.starter.result import Change, DemoResult
    from myna.text2sql.scoring.intervals import Rate

_WIDEST = 100
"""Columns that prose and commands take at most."""
_REAL_MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
_DOING = {
    "build": "Asking the database …",
    "score": "Loading the model …",
    "train": "Loading the model …",
    "ask": "Thinking …",
    "fuse": "Fusing, and comparing with base and adapter …",
    "report": "Writing …",
}


class DemoDisplay:
    """Shows the events of one demo on a stream; use it as a context."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._answers = Display(stream)
        self._working = ExitStack()
        self._work: str = ""
        self._listener: Any = None

    def __call__(self, event: DemoEvent) -> None:
        """Show an event."""
        match event:
            case Opened():
                again = ", and what an earlier demo left there is gone" if event.again else ""
                self._prose(f"Everything is made in {event.folder}{again}.")
            case Step():
                self._step(event)
            case Command():
                self._command(event)
            case Working():
                self._go_on(event.event)
            case Made():
                self._stop()
                self._made(event.result)
            case Pair():
                self._print(f"  {event.question}")
                self._print("    ", Styled(event.sql, "2"))
            case Asked():
                self._stop()
                self._asked(event)

    def show_result(self, result: DemoResult) -> None:
        """Print the table of before and after, and what to type next."""
        before, after = result.questions("en", tuned=False), result.questions("en")
        rows = [
            ("", "before", "after"),
            ("Learnt database", *_shares(result.learnt)),
            ("Another database", *_shares(result.elsewhere)),
            ("Questions, English", _count(before), _count(after)),
            ("Questions, Chinese", "", _count(result.questions("zh"))),
        ]
        self._print("")
        for number, row in enumerate(rows):
            line = f"{row[0]:<20}{row[1]:>8}{row[2]:>8}"
            self._print(Styled(line, "1") if number == 0 else line)
        self._prose(
            "Execution accuracy in %, on questions in words that training never saw. The second line is what learning "
            "one database has done to what the model knew of another."
        )
        for line in ("", f"Report: {result.report}", f"Done in {result.seconds:.0f} seconds.", ""):
            self._print(line)
        self._prose("Next, the same with a real model and your own database:")
        for words in _next_commands("school.sqlite"):
            for line in _wrapped(words, self._width()):
                self._print(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _step(self, step: Step) -> None:
        self._print("")
        self._print(Styled(f"{step.number}/{step.of}  {step.title}", "1;36"))
        self._prose(step.words)

    def _command(self, command: Command) -> None:
        """Show a command and that it is at work; of those that ask the untrained model, the first stands for all."""
        repeated = command.work == self._work == "ask" and "--adapter-path" not in command.arguments
        self._work = command.work
        if not repeated:
            self._print("")
            for line in _wrapped(command.arguments, self._width()):
                self._print(Styled(line, "1;32"))
        if command.work == "score":
            self._listener = None
        self._working.enter_context(_pulse(self._stream, _DOING[command.work]))

    def _go_on(self, event: Any) -> None:
        """Give progress of a command to what shows it for the command itself."""
        if self._listener is None:
            self._working.close()
            shows = score_display.display if isinstance(event, Progress) else train_display.display
            self._listener = self._working.enter_context(shows(self._stream))
        self._listener(event)

    def _stop(self) -> None:
        self._working.close()
        self._listener = None

    def _made(self, result: object) -> None:
        match result:
            case Built():
                show_built(result)
            case ScoreResult():
                score_display.show_rates(result, self._stream)
            case TrainResult():
                train_display.show_result(result, result.run / "report.html", self._stream)
            case FuseResult():
                show_fused(result)
            case Path():
                self._print(str(result))

    def _asked(self, asked: Asked) -> None:
        mark = Styled("✓ right", "32") if asked.right else Styled("✗ wrong", "31")
        if not asked.tuned:
            sql = "no SQL" if asked.answer.sql is None else asked.answer.sql
            self._print(mark, f"  {asked.answer.question}")
            self._print("    ", Styled(sql, "2"))
            return
        _, failed = shown(asked.answer, "sqlite", self._answers, Wishes())
        if failed is not None:
            self._prose(str(failed))
        self._print(mark)

    def _prose(self, text: str) -> None:
        import textwrap

        for line in textwrap.wrap(text, self._width()):
            self._print(line)

    def _print(self, *parts: str | Styled) -> None:
        say(*parts, stream=self._stream)

    def _width(self) -> int:
        return max(20, min(shutil.get_terminal_size().columns, _WIDEST))


@contextmanager
def _pulse(stream: TextIO, words: str) -> Iterator[None]:
    """Show on a terminal that something goes on whose length nobody knows, and how long it has."""
    if not is_terminal(stream):
        yield
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=rich_console(stream), transient=True) as bars:
        bars.add_task(words, total=None)
        yield


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    """Return the lines of a command as it can be pasted into a shell, broken where the terminal ends."""
    from rich.cells import cell_len

    lines = ["$"]
    for part in _parts(words):
        if lines[-1] != "$" and cell_len(f"{lines[-1]} {part} \\") > width:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {part}"
    return lines


def _parts(words: Sequence[str]) -> Iterator[str]:
    """Yield words that stay together: a flag and its value."""
    quoted = [_quoted(word) for word in words]
    place = 0
    while place < len(quoted):
        is_pair = words[place].startswith("--") and not words[min(place + 1, len(words) - 1)].startswith("--")
        taken = 2 if is_pair else 1
        yield " ".join(quoted[place : place + taken])
        place += taken


def _quoted(word: str) -> str:
    """Return a word as a shell takes it; one with an apostrophe in double quotes, which are easier to read."""
    if "'" in word and not set(word) & set('"$`\\!'):
        return f'"{word}"'
    return shlex.quote(word)


def _next_commands(database: str) -> Iterator[tuple[str, ...]]:
    yield "myna", "model", "get", _REAL_MODEL
    yield "myna", "data", "database", database, "--out", "data/school"
    yield "myna", "train", "--model", _REAL_MODEL, "--data", "data/school", "--adapter-path", "runs/school"
    yield "myna", "score", "--adapter-path", "runs/school"
    yield "myna", "ask", database, "How many students are there?", "--adapter-path", "runs/school"


def _shares(change: Change) -> tuple[str, str]:
    return _share(change.before), _share(change.after)


def _share(rate: Rate) -> str:
    return "–" if rate.share is None else f"{100 * rate.share:.1f}"


def _count(rate: Rate) -> str:
    return f"{rate.right}/{rate.of}"
