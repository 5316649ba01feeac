from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.recipe import LearningRateSchedule
from myna.training.schedules import build_schedule

rates = st.floats(1e-7, 1.0)


def schedule(name: str, *arguments: float, warmup: int = 0, warmup_init: float = 0.0) -> LearningRateSchedule:
    return LearningRateSchedule.model_validate(
        {"name": name, "arguments": arguments, "warmup": warmup, "warmup_init": warmup_init}
    )


@given(rates, st.integers(0, 10_000))
def test_without_a_schedule_the_rate_is_constant(rate: float, step: int) -> None:
    assert build_schedule(rate, None, 1000)(step) == rate


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Values of mlx.optimizers' schedulers (mlx 0.32) at steps 0, 1, 5, 10 and 100, to six digits.
        (schedule("cosine_decay", 1e-2, 10), [1e-2, 9.75528e-3, 5e-3, 0.0, 0.0]),
        (schedule("cosine_decay", 1e-2, 10, 1e-3), [1e-2, 9.77975e-3, 5.5e-3, 1e-3, 1e-3]),
        (schedule("linear_schedule", 1e-2, 2e-3, 8), [1e-2, 9e-3, 5e-3, 2e-3, 2e-3]),
        (schedule("exponential_decay", 1e-1, 0.9), [1e-1, 9e-2, 5.9049e-2, 3.48678e-2, 2.65614e-6]),
        (schedule("step_decay", 1e-1, 0.5, 4), [1e-1, 1e-1, 5e-2, 2.5e-2, 2.98023e-9]),
        (schedule("constant", 3e-3), [3e-3] * 5),
    ],
)
def test_schedules_are_those_of_mlx(settings: LearningRateSchedule, expected: list[float]) -> None:
    rate = build_schedule(1.0, settings, 1000)
    assert [rate(step) for step in (0, 1, 5, 10, 100)] == pytest.approx(expected, rel=1e-5, abs=1e-15)


def test_the_warm_up_is_joined_as_mlx_lm_joins_it() -> None:
    """mlx_lm joins at `warmup + 1`: the initial value comes at step `warmup` and again one step later."""
    rate = build_schedule(1.0, schedule("cosine_decay", 1e-2, 10, warmup=4, warmup_init=2e-3), 100)
    assert [rate(step) for step in range(5)] == pytest.approx([2e-3, 4e-3, 6e-3, 8e-3, 1e-2])
    assert rate(5) == 1e-2
    assert rate(10) == pytest.approx(5e-3)
    assert rate(15) == pytest.approx(0, abs=1e-12)


@given(rates, st.integers(2, 500), st.integers(0, 600), st.sampled_from(["linear_schedule", "cosine_decay"]))
def test_left_out_arguments_mean_from_the_learning_rate_to_0_over_the_run(
    rate: float, steps: int, warmup: int, name: str
) -> None:
    settings = LearningRateSchedule.model_validate({"name": name, "warmup": warmup})
    of = build_schedule(rate, settings, steps)
    values = [of(step) for step in range(steps + 1)]
    assert max(values) <= rate * (1 + 1e-12)
    assert min(values) >= -1e-12
    if warmup + 1 < steps:
        assert values[-1] == pytest.approx(0, abs=rate * 1e-9)
        assert values[warmup] == pytest.approx(rate)
        assert values[warmup:] == sorted(values[warmup:], reverse=True)


@given(st.integers(0, 1000))
def test_every_rate_is_a_finite_number(step: int) -> None:
    for settings in (
        schedule("cosine_decay", 1e-3, 100, warmup=10),
        schedule("step_decay", 1e-3, 0.1, 10),
        schedule("exponential_decay", 1e-3, 0.5),
    ):
        assert math.isfinite(build_schedule(1e-3, settings, 1000)(step))
