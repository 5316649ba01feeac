"""Tiny random models of every supported architecture."""

from pathlib import Path

import pytest

from tiny_models import ARCHITECTURES, save_tiny


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny(request, tmp_path_factory) -> Path:
    """The folder of a tiny random model, one of each architecture."""
    return save_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> Path:
    """The folder of a tiny random Llama."""
    return save_tiny(tmp_path_factory.mktemp("llama"), "llama")
