"""Fusing into a quantised base: unpacked exactly, or packed again with what that costs said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from myna.engines.torch import TorchEngine
from myna.errors import ModelError, RecipeError
from myna.exporting import fuse
from myna.exporting.quantizing import quantize_model
from myna.models.adapters import read_adapter, read_note, resolve, tensor_shapes, write_adapter
from myna.models.files import find, read_tensor
from myna.models.origin import other_base
from myna.models.packed import unpacked_rows
from myna.training import train
from packed_models import save_packed
from small_runs import one_layer, small_recipe, write_data
from tiny_models import random_tokens


def save_adapter(
    folder: Path, model: Path, *, size: float = 0.2, kind: Any = "lora", keys: Any = ("q_proj", "up_proj")
) -> Path:
    files = find(str(model))
    spec = resolve(files, kind=kind, keys=keys, num_layers=-1, rank=4, scale=2.0, dropout=0.0)
    random = np.random.default_rng(0)
    tensors = {
        name: random.standard_normal(shape, np.float32) * np.float32(size) + name.endswith("_vector")
        for name, shape in tensor_shapes(spec, files).items()
    }
    write_adapter(folder, spec, tensors, files=files, note={"mask_prompt": True})
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_packed(tmp_path_factory.mktemp("models"), "qwen2", dtype=torch.bfloat16)


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model's lowest layer, with a tokenizer; its down_proj has rows that no group divides."""
    return one_layer(tmp_path_factory.mktemp("stories") / "plain")


def packed_stories(stories: Path, folder: Path, bits: int) -> Path:
    return quantize_model(str(stories), folder, bits=bits, group_size=32, keep=["down_proj"]).folder


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_unpacked_weights_are_rounded_once_from_the_exact_ones(packed: Path, kind: str, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", packed, kind=kind)
    result = fuse(str(packed), adapter, tmp_path / "fused", dequantize=True)
    assert result.dtype == "bfloat16"
    assert result.agreement is not None
    assert result.agreement.difference <= result.agreement.tolerance
    assert "quantization" not in (tmp_path / "fused/config.json").read_text()
    files, fused = find(str(packed)), find(str(tmp_path / "fused"))
    assert not any(name.endswith((".scales", ".biases")) for name in fused.tensors)
    spec, tensors = read_adapter(adapter, files)
    for name in fused.tensors:
        path = name.removesuffix(".weight")
        packing = files.packing(path)
        if packing is None or path == name:
            assert np.array_equal(read_tensor(fused.tensors[name]), read_tensor(files.tensors[name]))
            continue
        exact = np.concatenate(list(unpacked_rows(path, files.tensors, packing))).astype(np.float64)
        if path in spec.targets:
            exact += 2.0 * tensors[f"{path}.lora_B.weight"].astype(float) @ tensors[f"{path}.lora_A.weight"]
            if kind == "dora":
                exact *= (tensors[f"{path}.lora_magnitude_vector"] / np.linalg.norm(exact, axis=1))[:, None]
        found = read_tensor(fused.tensors[name]).astype(np.float64)
        # half a unit in the last of bfloat16's 8 bits, and a little for float32 before it
        assert (np.abs(found - exact) <= np.abs(exact) * 2**-8 * 1.001 + 1e-6).all(), name
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "fused").dtype == torch.bfloat16


def test_packed_again_is_unpacked_and_then_quantised_and_the_rest_is_copied(packed: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", packed)
    result = fuse(str(packed), adapter, tmp_path / "fused", check=False)
    fuse(str(packed), adapter, tmp_path / "plain", dequantize=True, check=False)
    again = quantize_model(str(tmp_path / "plain"), tmp_path / "again", group_size=32).folder
    found, expected, base = (load_file(folder / "model.safetensors") for folder in (result.folder, again, packed))
    assert found.keys() == base.keys()
    adapted = read_adapter(adapter, find(str(packed)))[0].targets
    for name, tensor in found.items():
        reference = expected if name.rpartition(".")[0] in adapted and not name.endswith(".bias") else base
        assert torch.equal(tensor.view(torch.uint8), reference[name].view(torch.uint8)), name
    config = json.loads((result.folder / "config.json").read_text())
    assert config["quantization"] == json.loads((packed / "config.json").read_text())["quantization"]
    assert result.dtype == "4 bits in groups of 32"
    assert result.agreement is None
    logits = (
        TorchEngine().load(find(str(result.folder)), device="cpu").logits(random_tokens(np.random.default_rng(0), 5))
    )
    assert np.isfinite(logits).all()


def test_the_loss_on_the_adapters_own_test_set_is_told_before_and_after(stories: Path, tmp_path: Path) -> None:
    base = packed_stories(stories, tmp_path / "base", bits=8)
    run = tmp_path / "run"
    save_adapter(run / "adapter", base, size=0.02)
    data = write_data(tmp_path / "data")
    (run / "recipe.yaml").write_text(f"model: {base}\ndata: {data}\n")
    with pytest.raises(RecipeError, match="device 'gpu' is not known: use cpu, cuda"):
        fuse(str(base), run, tmp_path / "fused", engine="torch", device="gpu")
    result = fuse(str(base), run, tmp_path / "fused", engine="torch", device="cpu")
    assert result.loss is not None
    assert result.loss.tokens > 20
    assert abs(result.loss.rise) < 0.01
    assert result.loss.before != result.loss.after
    assert result.notices == ()


def test_packing_that_erases_what_was_learnt_is_warned_of(stories: Path, tmp_path: Path) -> None:
    base = packed_stories(stories, tmp_path / "base", bits=2)
    data = write_data(tmp_path / "data")
    shutil.copyfile(data / "train.jsonl", data / "test.jsonl")  # what it has learnt shows there
    settings = {"iters": 40, "learning_rate": 1e-2, "steps_per_eval": 40, "save_every": 40}
    run = train(small_recipe(base, data, tmp_path / "run", **settings)).run
    result = fuse(str(base), run, tmp_path / "fused")
    assert result.loss is not None
    assert result.loss.rise > 0.01
    (notice,) = result.notices
    assert "packing the weights again in 2 bits in groups of 32 raised the test loss from" in notice
    assert "fuse with --dequantize to keep it" in notice
    assert fuse(str(base), run, tmp_path / "plain", dequantize=True).notices == ()


def test_without_a_test_set_the_cost_is_said_to_be_unknown(packed: Path, tmp_path: Path) -> None:
    result = fuse(str(packed), save_adapter(tmp_path / "a", packed), tmp_path / "fused")
    assert result.loss is None
    assert "nothing shows what that cost; give the adapter's data with --data DIR" in result.notices[0]


def test_settings_that_do_not_fit_the_base_are_said(packed: Path, stories: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not quantised; leave out --dequantize"):
        fuse(str(stories), tmp_path / "a", tmp_path / "fused", dequantize=True)
    with pytest.raises(ModelError, match="packed weights have no dtype float16; add --dequantize"):
        fuse(str(packed), tmp_path / "a", tmp_path / "fused", dtype="float16")


def test_an_adapter_of_the_plain_base_goes_on_the_quantised_one_and_it_is_said(stories: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "a", stories)
    files = find(str(packed_stories(stories, tmp_path / "q", bits=4)))
    assert read_adapter(adapter, files)[0].kind == "lora"
    assert other_base(read_note(adapter), find(str(stories))) is None
    said = other_base(read_note(adapter), files)
    assert said is not None
    assert "was trained on plain in plain numbers, q is in 4 bits in groups of 32" in said
