"""What a model's files say about it, compared with what transformers says after loading it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from myna.models.info import describe
from tiny_models import ARCHITECTURES, save_tiny

SHARED = Path(__file__).parents[2].parent / "shared/data"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_figures_are_those_of_the_loaded_model(architecture: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", architecture)
    info = describe(str(folder))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert info.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert info.dtypes == {"F32": info.parameters}
    assert info.bytes == (folder / "model.safetensors").stat().st_size
    assert (info.layers, info.hidden_size, info.vocabulary_size, info.context_length) == (3, 32, 97, 256)
    assert info.tied_embeddings == (model.lm_head.weight is model.model.embed_tokens.weight)
    assert info.architecture == model.config.model_type
    assert info.linear["mlp.down_proj"] == (32, 48)
    assert info.quantisation is None
    assert info.tokenizer.files == ()


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data is not on this machine")
@pytest.mark.parametrize("name", ["qwen2.5", "llama2", "mistral_v1", "mistral_v3", "minimind"])
def test_tokenizer_facts_are_those_of_the_loaded_tokenizer(name: str, llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    shutil.copytree(SHARED / "tokenizers" / name, folder, dirs_exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "tokenizers" / name)
    info = describe(str(folder)).tokenizer
    assert info.entries == len(tokenizer)
    assert info.chat_template == bool(tokenizer.chat_template)
    assert info.end == tokenizer.eos_token
    assert info.beginning == tokenizer.bos_token
    assert info.kind == "BPE"


def test_a_quantised_folder_is_described(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization": {"bits": 4, "group_size": 64}}))
    assert describe(str(folder)).quantisation == "mlx"
