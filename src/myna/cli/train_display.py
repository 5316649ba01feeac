"""What a person sees of a run: a progress bar on a terminal, mlx_lm's familiar lines elsewhere, and the result.

In: events of `myna.training.events`. Knows nothing of where they come from.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from myna.cli.terminal import Styled, draw, has_colours, is_terminal, rich_console, say
from myna.foreign_text import visible
from myna.training.events import (
    DataRead,
    Evaluation,
    Event,
    Listener,
    Notice,
    Report,
    Saved,
    Started,
    Step,
    Tested,
)

if TYPE_CHECKING:
    from rich.console import Console

    from myna.training import TrainResult

_GB = 1e9


@contextmanager
def display(stream: TextIO) -> Iterator[Listener]:
    """Give a listener that shows events on `stream` until the block ends."""
    if is_terminal(stream):
        with ProgressBar(rich_console(stream)).shown() as bar:
            yield bar
    else:
        yield _lines(stream)


def _lines(stream: TextIO) -> Listener:
    def listener(event: Event) -> None:
        if (line := line_for(event)) is not None:
            say(line, stream=stream)

    return listener


def line_for(event: Event) -> str | None:
    """Return the line that a log shows for an event, None for one that it does not show."""
    line = None
    match event:
        case Report():
            line = (
                f"Iter {event.iteration}: Train loss {event.train_loss:.3f},"
                f" Learning Rate {event.learning_rate:.3e}, It/sec {event.iterations_per_second:.3f},"
                f" Tokens/sec {event.tokens_per_second:.1f}, Trained Tokens {event.trained_tokens},"
                f" Peak mem {event.peak_memory_bytes / _GB:.3f} GB"
            )
        case Evaluation():
            best = " (best so far)" if event.best else ""
            line = f"Iter {event.iteration}: Val loss {event.valid_loss:.3f}, Val took {event.seconds:.1f}s{best}"
        case Saved():
            line = f"Iter {event.iteration}: Saved checkpoint to {event.path}"
        case Tested():
            perplexity = "too large" if event.perplexity is None else f"{event.perplexity:.3f}"
            line = f"Test loss {event.loss:.3f}, Test ppl {perplexity}"
        case DataRead():
            line = (
                f"{event.split}: {event.examples:,} examples, {event.tokens:,} tokens,"
                f" {event.trained_tokens:,} of them trained; the longest has {event.longest:,}"
            )
        case Started():
            begun = f"Going on after iteration {event.iteration}" if event.iteration else "Starting training"
            line = (
                f"{begun}, iters: {event.iterations} ({event.examples_per_iteration} examples each,"
                f" {event.epochs:.1f} epochs), trained parameters: {event.trained_parameters:,},"
                f" {event.dtype} on {event.device}, run folder: {event.run}"
            )
        case Notice():
            line = f"Note: {event.text}"
    return line


class ProgressBar:
    """Progress bar with the latest figures under it; everything else scrolls by above it."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console
        self._progress = Progress(
            TextColumn("Iter {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=None),
            TimeRemainingColumn(compact=True),
            console=self._console,
            expand=True,
        )
        self._task: Any = None
        self._live = Live(console=self._console, transient=True, refresh_per_second=4)

    @contextmanager
    def shown(self) -> Iterator[Listener]:
        """Keep the bar on the terminal until the block ends."""
        with self._live:
            self._live.update("Reading data and model …")
            yield self._on_event

    def _on_event(self, event: Event) -> None:
        match event:
            case Started():
                self._task = self._progress.add_task("", total=event.iterations, completed=event.iteration)
                self._live.update(self._progress)
            case Step():
                self._progress.update(self._task, completed=event.iteration)
            case Report():
                self._live.update(self._with_figures(event))
                return
        if (line := line_for(event)) is not None:
            from rich.text import Text

            self._console.print(Text(visible(line)))

    def _with_figures(self, report: Report) -> Any:
        from rich.columns import Columns
        from rich.console import Group
        from rich.text import Text

        figures = [
            f"loss {report.train_loss:.3f}",
            f"lr {report.learning_rate:.2e}",
            f"{report.trained_tokens_per_second:,.0f} trained tok/s",
            f"{report.tokens_per_second:,.0f} tok/s",
            f"peak {report.peak_memory_bytes / _GB:.2f} GB",
        ]
        # columns: a narrow terminal breaks between figures, not inside one
        return Group(self._progress, Columns([Text(figure, no_wrap=True) for figure in figures], padding=(0, 2)))


def show_result(result: TrainResult, report: Path, stream: TextIO) -> None:
    """Print the loss curves and what the run has come to."""
    from myna.reports.record import read_run

    record = read_run(result.run)
    plot = loss_plot(
        [(event.iteration, event.train_loss) for event in record.reports],
        [(event.iteration, event.valid_loss) for event in record.evaluations],
        width=min(shutil.get_terminal_size().columns, 100),
        colour=has_colours(stream),
    )
    if plot:
        draw(f"\n{plot}", stream)
    rows = [("Iterations", f"{result.iterations}{' (stopped early)' if result.stopped_early else ''}")]
    if result.best is not None:
        rows.append(("Best", f"validation loss {result.best.valid_loss:.3f} at iteration {result.best.iteration}"))
    rows += [
        ("Speed", f"{result.tokens_per_second:,.1f} tokens/s, {result.seconds:,.1f} s of training"),
        ("Peak memory", f"{result.peak_memory_bytes / _GB:.2f} GB"),
        ("Adapter", str(result.adapter)),
        ("Report", str(report)),
    ]
    say(stream=stream)
    for name, value in rows:
        say(Styled(f"{name:<12}", "1"), f" {value}", stream=stream)


def loss_plot(
    train: Sequence[tuple[int, float]], valid: Sequence[tuple[int, float]], *, width: int, colour: bool
) -> str:
    """Draw losses by iteration as text; empty when there are no two points to join."""
    if max(len(train), len(valid)) < 2:
        return ""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, 15)
    figure.theme("simple" if colour else "colorless")
    if train:
        figure.draw(figure.signal(*_axes(train), marker="braille").lines())
    if valid:
        figure.draw(figure.signal(*_axes(valid), marker="●"))
    figure.title("loss: ⠤⠤ train, ● validation" if train and valid else "loss")
    drawn = str(figure.build())
    return drawn if colour else str(plotext.uncolorize(drawn))


def _axes(points: Sequence[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
