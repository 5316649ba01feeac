"""Tiny random models of every supported architecture."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tiny_models import ARCHITECTURES, save_tiny


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Callable[[str], Path]:
    """Returns the folder of a tiny random model of an architecture."""

    @cache
    def folder(architecture: str) -> Path:
        return save_tiny(tmp_path_factory.mktemp(architecture), architecture)

    return folder


@pytest.fixture(params=ARCHITECTURES)
def tiny(request, tiny_folder) -> Path:
    """The folder of a tiny random model, one of each architecture."""
    return tiny_folder(request.param)


@pytest.fixture
def tiny_llama(tiny_folder) -> Path:
    """The folder of a tiny random Llama."""
    return tiny_folder("llama")
