"""What a model's files say about it, compared with what transformers says after loading it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from myna.models.architectures import ARCHITECTURES as SUPPORTED
from myna.models.files import find
from myna.models.info import describe
from myna.models.quantization import Packing, quantize
from tiny_models import ARCHITECTURES, save_tiny

SHARED = Path(__file__).parents[2].parent / "shared/data"


def test_every_supported_architecture_has_a_tiny_model_that_tests_run_on() -> None:
    assert set(SUPPORTED) == set(ARCHITECTURES)


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
    assert info.memory["32 bits"] == 4 * info.parameters
    assert info.memory["16 bits"] == 2 * info.parameters
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
    assert info.special.get("eos") == tokenizer.eos_token
    assert info.special.get("bos") == tokenizer.bos_token
    assert info.special.get("pad") == tokenizer.pad_token
    assert info.kind == "BPE"


def test_a_quantised_folder_is_described(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization": {"bits": 4, "group_size": 64}}))
    assert describe(str(folder)).quantisation == "mlx"


def test_memory_at_four_bits_is_what_packing_takes(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", "llama", hidden_size=64, intermediate_size=128)
    expected = 0
    for info in find(str(folder)).tensors.values():
        if len(info.shape) == 2:
            packed = quantize(np.zeros(info.shape, np.float16), Packing(4, 64))
            expected += sum(part.nbytes for part in packed)
        else:
            expected += 2 * info.size
    assert describe(str(folder)).memory["4 bits"] == expected


VOCABULARY = {"<s>": 1, "</s>": 2, "<unk>": 0, "a": 3, "b": 96}


def with_tokenizer(folder: Path, vocabulary: dict[str, int], **special: str) -> Path:
    tokenizer = {"model": {"type": "BPE", "vocab": vocabulary}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    return folder


@pytest.mark.parametrize(
    ("vocabulary", "special", "said"),
    [
        (VOCABULARY, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}, ()),
        (
            {**VOCABULARY, "c": 97},
            {"eos_token": "</s>"},
            ("the tokenizer has ids up to 97, the embedding only 97 rows",),
        ),
        (VOCABULARY, {"eos_token": "a"}, ("the tokenizer's end token is 3 ('a'), config.json's is 2 ('</s>')",)),
        (VOCABULARY, {"pad_token": "<pad>"}, ("the tokenizer's padding token '<pad>' is not among its entries",)),
    ],
)
def test_tokenizer_and_configuration_are_compared(
    vocabulary: dict[str, int], special: dict[str, str], said: tuple[str, ...], llama: Path, tmp_path: Path
) -> None:
    folder = with_tokenizer(shutil.copytree(llama, tmp_path / "m"), vocabulary, **special)
    assert describe(str(folder)).disagreements == said


def test_one_of_several_end_tokens_is_agreement(llama: Path, tmp_path: Path) -> None:
    folder = with_tokenizer(shutil.copytree(llama, tmp_path / "m"), VOCABULARY, eos_token="a")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 3]}))
    assert describe(str(folder)).disagreements == ()
