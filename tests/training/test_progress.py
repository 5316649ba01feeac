from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from myna.training.events import Report
from myna.training.progress import Best, Progress, Window

numbers = st.integers(0, 2**53)
losses = st.floats(0, 1e9)


@given(
    step=numbers,
    best=st.none() | st.builds(Best, numbers, losses),
    window=st.builds(Window, numbers, losses, numbers, numbers, losses),
    seconds=losses,
    evaluated=st.none() | numbers,
)
def test_progress_comes_back_from_json_exactly(
    step: int, best: Best | None, window: Window, seconds: float, evaluated: int | None
) -> None:
    progress = Progress(step=step, best=best, window=window, seconds=seconds, evaluated=evaluated)
    assert Progress.from_dict(json.loads(json.dumps(progress.as_dict()))) == progress


@given(st.lists(losses, min_size=1, max_size=20))
def test_the_best_is_the_first_lowest_loss_after_the_start(losses: list[float]) -> None:
    progress = Progress()
    for loss in losses:
        progress.add_evaluation(loss)
        progress.step += 1
    assert progress.untrained_loss == losses[0]
    after = losses[1:]
    if not after:
        assert progress.best is None
        return
    lowest = min(after)
    assert progress.best == Best(1 + after.index(lowest), lowest)
    assert progress.worse == len(after) - 1 - after.index(lowest)
    assert progress.kept == 1 + after.index(lowest)


def test_without_validation_the_last_adapter_is_kept() -> None:
    progress = Progress()
    for _ in range(3):
        progress.add_step(loss_sum=2.0, trained_tokens=1, tokens=5, seconds=0.5)
    assert progress.kept == 3
    assert progress.window == Window(3, 6.0, 3, 15, 1.5)


def test_an_event_is_a_line_of_json_with_its_name() -> None:
    report = Report(10, 1.5, 1e-4, 0.5, 2.0, 100.0, 200.0, 1000, 2**30, 5.0)
    line = json.loads(json.dumps(report.as_dict()))
    assert line["event"] == "report"
    assert line["train_loss"] == 1.5
