"""What a person sees of a learning curve: each size while it trains and is scored, then the curve and its table.

In: events and a result of `myna.studies`. Knows nothing of how they come about.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from myna.cli import score_display, train_display
from myna.cli.terminal import Styled, draw, has_colours, is_terminal, say
from myna.reports.words import byte_words, duration_words
from myna.studies.curve import RULE, Point
from myna.studies.learning_curve import Listener, Size, StudyEvent
from myna.text2sql.scoring import Progress
from myna.training.events import Event as TrainingEvent

if TYPE_CHECKING:
    from myna.studies.curve import LearningCurve


@contextmanager
def display(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that shows a study on `stream` until the block ends."""
    with ExitStack() as working:
        shown = _Shown(stream, working)
        yield shown


class _Shown:
    """Gives the events of each size to what shows training and scoring for their own commands."""

    def __init__(self, stream: TextIO, working: ExitStack) -> None:
        self._stream, self._working = stream, working
        self._kind: object = None
        self._listener: Any = None

    def __call__(self, event: StudyEvent) -> None:
        match event:
            case Size():
                what = f"{event.examples:,} examples" if event.examples else "The model as it is"
                say(Styled(f"{event.number}/{event.of}  {what}", "1"), stream=self._stream)
            case Point():
                self._end()
                say(f"     {_line(event)}", stream=self._stream)
            case Progress():
                self._to(Progress, score_display.display)(event)
            case _:
                self._to(TrainingEvent, train_display.display)(event)

    def _to(self, kind: object, shows: Any) -> Any:
        if self._kind is not kind:
            self._end()
            self._kind, self._listener = kind, self._working.enter_context(shows(self._stream))
        return self._listener

    def _end(self) -> None:
        self._working.close()
        self._kind = None


def show_curve(curve: LearningCurve, stream: TextIO) -> None:
    """Print the curve, its table and what it says."""
    plot = _plot(curve.points, colour=has_colours(stream))
    if plot:
        draw(f"\n{plot}", stream)
    heading = ("Examples", "%", "95 % interval", "training", "memory")
    rows = [_cells(point, curve.enough) for point in curve.points]
    lines = score_display.table(heading, rows, width=_width() if is_terminal(stream) else None)
    say(stream=stream)
    say(Styled(lines[0], "1"), stream=stream)
    for line in lines[1:]:
        say(line, stream=stream)
    say(stream=stream)
    for line in textwrap.wrap(curve.finding, _width()):
        say(Styled(line, "1"), stream=stream)
    for line in textwrap.wrap(RULE, _width()):
        say(line, stream=stream)
    say(f"Report: {curve.report}", stream=stream)


def _line(point: Point) -> str:
    low, high = point.accuracy.interval or (0.0, 0.0)
    learnt = f", {duration_words(point.seconds)} of training" if point.seconds is not None else ""
    share = 100 * (point.accuracy.share or 0.0)
    return f"{share:.1f} % right ({100 * low:.1f}–{100 * high:.1f}) of {point.accuracy.of:,} questions{learnt}"


def _cells(point: Point, found: int | None) -> tuple[str, ...]:
    low, high = point.accuracy.interval or (0.0, 0.0)
    return (
        f"{point.examples:,}{' (enough)' if point.examples == found else ''}" if point.examples else "untrained",
        f"{100 * (point.accuracy.share or 0.0):.1f}",
        f"{100 * low:.1f}–{100 * high:.1f}",
        "–" if point.seconds is None else duration_words(point.seconds),
        "–" if point.peak_memory_bytes is None else byte_words(point.peak_memory_bytes),
    )


def _plot(points: Sequence[Point], *, colour: bool) -> str:
    """Draw the shares by size as text, with their intervals as lines above and below; empty for one point."""
    if len(points) < 2:
        return ""
    import plotext

    sizes = [point.examples for point in points]
    ends = [point.accuracy.interval or (0.0, 0.0) for point in points]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(_width(), 15)
    figure.theme("simple" if colour else "colorless")
    for side in (0, 1):
        figure.draw(figure.signal(sizes, [100 * each[side] for each in ends], marker="braille").lines())
    figure.draw(figure.signal(sizes, [100 * (point.accuracy.share or 0.0) for point in points], marker="●"))
    figure.title("right answers in % by examples: ● score, ⠤⠤ 95 % interval")
    drawn = str(figure.build())
    return drawn if colour else str(plotext.uncolorize(drawn))


def _width() -> int:
    return max(20, min(shutil.get_terminal_size().columns, 100))
