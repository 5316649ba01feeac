"""Tiny model folders, written by transformers itself, for the tests of models and adapters."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from myna.models.files import ModelFiles, find
from tiny_models import save_tiny


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one safetensors file; not to be written to."""
    return save_tiny(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture(scope="session")
def base(llama: Path) -> ModelFiles:
    return find(str(llama))


@pytest.fixture
def shards(llama: Path, tmp_path: Path) -> Path:
    """The same model in several shards; a test may damage it."""
    folder = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(folder, max_shard_size="25KB")
    return folder
