"""Whole runs on the MLX engine: the same losses and adapter as on torch, and bad news before the first step."""

import importlib.util

import numpy as np
import pytest

import myna
from myna.errors import ResourceError
from myna.models.adapters import read_adapter
from myna.models.files import find
from small_runs import events

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mlx") is None or importlib.util.find_spec("mlx_lm") is None,
    reason="MLX has no wheel here, or is not installed: pip install 'myna[mlx]'",
)


def test_a_run_on_mlx_has_the_losses_and_the_adapter_of_one_on_torch(recipe, model, tmp_path):
    adapters, losses = [], []
    for engine in ("torch", "mlx"):
        myna.train(recipe(engine, engine=engine, lora_parameters={"rank": 2, "scale": 2.0}))
        adapters.append(read_adapter(tmp_path / engine, find(str(model)))[1])
        losses.append([event["valid_loss"] for event in events(tmp_path / engine, "evaluation")])
    assert len(losses[0]) > 2
    # Float32 on both; 8 steps of Adam, which magnify its noise. Another order or mask would be off by far more.
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, expected in adapters[0].items():
        assert np.abs(adapters[1][name] - expected).max() <= 2e-3 * max(np.abs(expected).max(), 1e-3), name


def test_an_example_that_the_device_can_not_hold_is_named_before_the_first_step(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("myna.engines.mlx.model.largest_buffer", lambda: 4 * 8 * 10 * 10)
    with pytest.raises(ResourceError, match=r"an example has \d+ tokens, .*; set --max-seq-length 10"):
        myna.train(recipe(engine="mlx"))
    assert not list(tmp_path.glob("run/checkpoints/*"))
