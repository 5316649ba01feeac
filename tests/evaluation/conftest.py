"""A finished run with a checkpoint at every second step."""

from __future__ import annotations

from pathlib import Path

import pytest

from myna import training
from small_runs import one_layer, small_recipe, write_data


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model`, `data` and `run`."""
    folder = tmp_path_factory.mktemp("finished")
    training.train(small_recipe(one_layer(folder / "model"), write_data(folder / "data"), folder / "run"))
    return folder
