"""The learning rate as a pure function of the step: nothing has to be saved to resume it.

Names, arguments and values are those of mlx's schedulers as mlx_lm's `build_schedule` joins them. Knows
nothing of optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from myna.recipe import LearningRateSchedule

Schedule: TypeAlias = Callable[[int], float]
"""0-based step → learning rate."""


def build_schedule(learning_rate: float, schedule: LearningRateSchedule | None, steps: int) -> Schedule:
    """Return the learning rate of each of the run's `steps`.

    Without a schedule it is `learning_rate` throughout. A schedule's `arguments` take precedence over
    `learning_rate`; left out, linear and cosine decay go from it to 0 over the steps that the warm-up leaves.
    The warm-up goes from `warmup_init`, at step 0, to the initial value, at step `warmup`; the schedule
    starts at its own step 0 one step later (https://github.com/ml-explore/mlx-lm, mlx_lm/tuner/utils.py).
    """
    if schedule is None:
        return _constant(learning_rate)
    first_step = schedule.warmup + 1 if schedule.warmup else 0
    initial = schedule.arguments[0] if schedule.arguments else learning_rate
    arguments = schedule.arguments or _whole_run(schedule.name, initial, max(1, steps - first_step))
    after = _SCHEDULES[schedule.name](*arguments)
    if not schedule.warmup:
        return after
    before = _linear(schedule.warmup_init, initial, schedule.warmup)
    return lambda step: before(step) if step < first_step else after(step - first_step)


def _whole_run(name: str, initial: float, steps: int) -> Sequence[float]:
    return {
        "constant": (initial,),
        "linear_schedule": (initial, 0.0, steps),
        "cosine_decay": (initial, steps),
    }[name]


def _constant(value: float) -> Schedule:
    return lambda step: value


def _linear(initial: float, end: float, steps: float) -> Schedule:
    return lambda step: initial + (end - initial) * (min(step, steps) / steps)


def _cosine(initial: float, steps: float, end: float = 0.0) -> Schedule:
    return lambda step: end + (initial - end) * 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))


def _exponential(initial: float, rate: float) -> Schedule:
    return lambda step: initial * rate**step


def _steps(initial: float, rate: float, size: float) -> Schedule:
    return lambda step: initial * rate ** (step // size)


_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": _constant,
    "linear_schedule": _linear,
    "cosine_decay": _cosine,
    "exponential_decay": _exponential,
    "step_decay": _steps,
}
