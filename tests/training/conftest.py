"""A data folder, and recipes of short runs on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myna.recipe import Recipe
from small_runs import one_layer, small_recipe, write_data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a few lines to train, validate and test on."""
    return write_data(tmp_path / "data")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real model."""
    return one_layer(tmp_path_factory.mktemp("base") / "stories")


@pytest.fixture
def recipe(tmp_path: Path, model: Path, data: Path) -> Callable[..., Recipe]:
    """Return a function that makes a recipe; the run goes into `run` or the folder named."""
    return lambda name="run", **settings: small_recipe(model, data, tmp_path / name, **settings)
