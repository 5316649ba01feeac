"""Promises of what a person sees of a run: mlx_lm's lines in a log, a bar that fits any terminal, a plot."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from myna.cli.train_display import ProgressBar, display, line_for, loss_plot
from myna.training import events
from myna.training.events import DataRead, Evaluation, Event, Notice, Report, Saved, Started, Step

REPORT = Report(
    iteration=100,
    train_loss=1.2041,
    learning_rate=1e-5,
    gradient_norm=0.5,
    iterations_per_second=1.2,
    trained_tokens_per_second=110.4,
    tokens_per_second=221.3,
    trained_tokens=12345,
    peak_memory_bytes=1_234_000_000,
    seconds=83.0,
)
STARTED = Started(
    run="runs/x",
    iteration=0,
    iterations=1000,
    examples_per_iteration=8,
    epochs=2.0,
    trained_parameters=92480,
    device="cpu",
    dtype="float32",
)
EVALUATION = Evaluation(iteration=200, valid_loss=1.1, tokens=5000, samples=100, seconds=1.24, best=False)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            REPORT,
            "Iter 100: Train loss 1.204, Learning Rate 1.000e-05, It/sec 1.200, Tokens/sec 221.3,"
            " Trained Tokens 12345, Peak mem 1.234 GB",
        ),
        (EVALUATION, "Iter 200: Val loss 1.100, Val took 1.2s"),
        (Saved(iteration=100, path="checkpoints/000100"), "Iter 100: Saved checkpoint to checkpoints/000100"),
        (
            events.Tested(iteration=100, loss=1.0, perplexity=2.7183, tokens=10, examples=2),
            "Test loss 1.000, Test ppl 2.718",
        ),
        (
            events.Tested(iteration=100, loss=800.0, perplexity=None, tokens=10, examples=2),
            "Test loss 800.000, Test ppl too large",
        ),
        (Notice(iteration=0, text="mind this"), "Note: mind this"),
        (Step(iteration=3, train_loss=1.0), None),
    ],
)
def test_a_log_has_the_familiar_lines(event: Event, line: str | None) -> None:
    assert line_for(event) == line
    stream = io.StringIO()
    with display(stream) as listener:
        listener(event)
    assert stream.getvalue() == ("" if line is None else f"{line}\n")


def test_what_was_read_and_what_begins_is_said() -> None:
    read = DataRead(
        split="train",
        examples=1000,
        samples=1000,
        skipped_lines=0,
        skipped_long=0,
        truncated=0,
        longest=332,
        tokens=78875,
        trained_tokens=1234,
    )
    assert line_for(read) == "train: 1,000 examples, 78,875 tokens, 1,234 of them trained; the longest has 332"
    started = str(line_for(STARTED))
    for said in ("iters: 1000", "2.0 epochs", "92,480", "float32 on cpu", "runs/x"):
        assert said in started


@pytest.mark.parametrize("width", [40, 80])
def test_the_bar_shows_every_figure_at_any_width(width: int) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with ProgressBar(console).shown() as listener:
        listener(STARTED)
        listener(Step(iteration=100, train_loss=1.2))
        listener(REPORT)
        listener(EVALUATION)
    lines = shown.getvalue().splitlines()
    screen = "\n".join(lines)
    for figure in ("100/1000", "loss 1.204", "lr 1.00e-05", "110 trained tok/s", "221 tok/s", "peak 1.23 GB"):
        assert figure in screen
    assert "Iter 200: Val loss 1.100" in screen
    visible = [line.split("\x1b[2K")[-1].split("\r")[-1] for line in lines]
    assert max(len(line) for line in visible if "\x1b" not in line) <= width


def test_the_bar_of_a_resumed_run_begins_where_it_was() -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=80, color_system=None, legacy_windows=False)
    with ProgressBar(console).shown() as listener:
        listener(replace(STARTED, iteration=400))
    assert "400/1000" in shown.getvalue()
    assert "Going on after iteration 400" in shown.getvalue()


def test_the_plot_fits_its_width_and_is_plain_without_colour() -> None:
    train = [(10 * n, 5.0 / n) for n in range(1, 20)]
    valid = [(50 * n, 6.0 / (n + 1)) for n in range(4)]
    for width in (40, 80):
        plot = loss_plot(train, valid, width=width, colour=False)
        assert "\x1b" not in plot
        assert {len(line) for line in plot.splitlines()} == {width}
        assert plot.count("●") == 1 + len(valid)
    assert "\x1b" in loss_plot(train, valid, width=40, colour=True)


def test_nothing_is_plotted_of_a_single_point() -> None:
    assert loss_plot([(1, 2.0)], [], width=40, colour=False) == ""
    assert loss_plot([], [(0, 2.0), (1, 1.0)], width=40, colour=False).count("●") >= 2
