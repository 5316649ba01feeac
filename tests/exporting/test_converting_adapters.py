"""Adapters of PEFT and mlx-lm, of each other: there and back changes no bit, and each library computes the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from myna.errors import AdapterError, ModelError
from myna.exporting import convert
from myna.models.adapters import AdapterSpec, LoraTarget, read_adapter, read_note, resolve, tensor_shapes, write_adapter
from myna.models.files import ModelFiles, find
from packed_models import save_packed
from tiny_models import save_tiny

TOKENS = [5, 17, 3, 80, 41, 9]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return find(str(save_tiny(tmp_path_factory.mktemp("models") / "base", "llama")))


def random_tensors(spec: AdapterSpec, files: ModelFiles, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal(shape, np.float32) * np.float32(0.2) + name.endswith("_vector")
        for name, shape in tensor_shapes(spec, files).items()
    }


Q, V, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj", "model.layers.2.mlp.down_proj"
SPECS: dict[str, Any] = {
    "lora": lambda files: resolve(files, kind="lora", keys=None, num_layers=-1, rank=4, scale=20.0, dropout=0.1),
    "dora": lambda files: resolve(files, kind="dora", keys=("q_proj",), num_layers=2, rank=3, scale=2.5, dropout=0.0),
    "ranks and scales of their own": lambda _: AdapterSpec(
        "lora", {Q: LoraTarget(4, 2.0), V: LoraTarget(2, 1 / 7), DOWN: LoraTarget(5, -0.3)}
    ),
    "the same of DoRA": lambda _: AdapterSpec("dora", {Q: LoraTarget(4, 2.0), V: LoraTarget(2, 0.7)}, dropout=0.25),
}


def peft_folder(folder: Path, files: ModelFiles, spec: AdapterSpec) -> dict[str, np.ndarray]:
    tensors = random_tensors(spec, files)
    write_adapter(folder, spec, tensors, files=files, note={"prompt": "as trained", "dialect": "sqlite"})
    return tensors


@pytest.mark.parametrize("name", SPECS)
def test_from_peft_to_mlx_and_back_changes_no_bit(name: str, base: ModelFiles, tmp_path: Path) -> None:
    spec = SPECS[name](base)
    peft_folder(tmp_path / "peft", base, spec)
    there = convert(tmp_path / "peft", tmp_path / "mlx", to="mlx", model=str(base.folder))
    back = convert(tmp_path / "mlx", tmp_path / "again", to="peft", model=str(base.folder))
    assert (there.source, back.source) == ("peft", "mlx")
    for file in ("adapter_model.safetensors", "adapter_config.json", "myna.json"):
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "peft" / file).read_bytes()
    assert read_note(tmp_path / "mlx")["prompt"] == "as trained"


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_from_mlx_to_peft_and_back_changes_no_bit(
    kind: Literal["lora", "dora"], base: ModelFiles, tmp_path: Path
) -> None:
    spec = resolve(base, kind=kind, keys=("q_proj", "up_proj"), num_layers=2, rank=4, scale=10.0, dropout=0.05)
    tensors = random_tensors(spec, base)
    arrays = {}
    for path in spec.targets:
        arrays[f"{path}.lora_a"] = np.ascontiguousarray(tensors[f"{path}.lora_A.weight"].T)
        arrays[f"{path}.lora_b"] = np.ascontiguousarray(tensors[f"{path}.lora_B.weight"].T)
        if kind == "dora":
            arrays[f"{path}.m"] = tensors[f"{path}.lora_magnitude_vector"]
    parameters = {"rank": 4, "scale": 10.0, "dropout": 0.05, "keys": ["mlp.up_proj", "self_attn.q_proj"]}
    config = {"fine_tune_type": kind, "model": "base", "num_layers": 2, "lora_parameters": parameters}
    (tmp_path / "mlx").mkdir()
    save_file(arrays, tmp_path / "mlx/adapters.safetensors", metadata={"format": "mlx"})
    (tmp_path / "mlx/adapter_config.json").write_text(json.dumps(config))
    convert(tmp_path / "mlx", tmp_path / "peft", to="peft", model=str(base.folder))
    convert(tmp_path / "peft", tmp_path / "again", to="mlx", model=str(base.folder))
    found = load_file(tmp_path / "again/adapters.safetensors")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert json.loads((tmp_path / "again/adapter_config.json").read_text()) == config


@settings(max_examples=40, deadline=None)
@given(
    targets=st.lists(
        st.tuples(
            st.sampled_from([Q, V, DOWN]),
            st.integers(1, 6),
            st.floats(0.001, 100) | st.just(0.0) | st.floats(-8, -0.01),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda one: one[0],
    ),
    # numbers down to the smallest that float32 has: what underflows when it is scaled must come back as well
    size=st.sampled_from([1.0, 1e-20, 1e-37, 1e-42]),
)
def test_any_ranks_and_scales_come_back_from_mlx_exactly(
    targets: list[tuple[str, int, float]], size: float, base: ModelFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("adapters")
    spec = AdapterSpec("lora", {path: LoraTarget(rank, scale) for path, rank, scale in targets})
    tensors = {name: array * np.float32(size) for name, array in random_tensors(spec, base).items()}
    write_adapter(folder / "peft", spec, tensors, files=base, note={})
    before = read_adapter(folder / "peft", base)
    convert(folder / "peft", folder / "mlx", to="mlx", model=str(base.folder))
    found, arrays = read_adapter(folder / "mlx", base)
    assert found == before[0]
    assert all(np.array_equal(arrays[name], tensors[name]) for name in tensors)
    shutil.rmtree(folder)


def test_training_on_in_mlx_lm_keeps_what_was_learnt_there(base: ModelFiles, tmp_path: Path) -> None:
    """What was noted of ranks and scales is only believed while the numbers are those that were written with it."""
    spec = SPECS["ranks and scales of their own"](base)
    tensors = peft_folder(tmp_path / "peft", base, spec)
    convert(tmp_path / "peft", tmp_path / "mlx", to="mlx", model=str(base.folder))
    arrays = load_file(tmp_path / "mlx/adapters.safetensors")
    arrays[f"{V}.lora_b"] += np.float32(0.125)
    save_file(arrays, tmp_path / "mlx/adapters.safetensors", metadata={"format": "mlx"})
    found, trained = read_adapter(tmp_path / "mlx", base)
    assert found.targets[V] == LoraTarget(5, 2.0)
    assert np.array_equal(trained[f"{V}.lora_B.weight"], arrays[f"{V}.lora_b"].T)
    assert found.targets[DOWN] == spec.targets[DOWN]
    assert np.array_equal(trained[f"{DOWN}.lora_B.weight"], tensors[f"{DOWN}.lora_B.weight"])


# --- each library with the other's adapter


def peft_logits(files: ModelFiles, adapter: Path) -> np.ndarray:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(files.folder), adapter).eval()
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits.numpy()


def mlx_logits(files: ModelFiles, adapter: Path) -> np.ndarray:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed")
    utils = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed")
    model = utils.load_adapters(utils.load_model(files.folder)[0], str(adapter))
    model.eval()
    return np.array(model(mx.array([TOKENS])))


@pytest.mark.parametrize("name", SPECS)
def test_mlx_lm_computes_with_it_what_peft_computes(name: str, base: ModelFiles, tmp_path: Path) -> None:
    peft_folder(tmp_path / "peft", base, SPECS[name](base))
    convert(tmp_path / "peft", tmp_path / "mlx", to="mlx", model=str(base.folder))
    expected = peft_logits(base, tmp_path / "peft")
    found = mlx_logits(base, tmp_path / "mlx")
    # two libraries sum in different orders: float32's 6e-8, over a few thousand products and three layers
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    plain = AutoModelForCausalLM.from_pretrained(base.folder)(torch.tensor([TOKENS])).logits.detach().numpy()
    assert np.abs(found - plain).max() > 1e-2 * np.abs(expected).max()  # the adapter does something


def test_peft_computes_with_an_old_npz_what_mlx_examples_computed(base: ModelFiles, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pair = {
        f"{Q}.lora_a": random.standard_normal((32, 2), np.float32) * np.float32(0.1),
        f"{Q}.lora_b": random.standard_normal((2, 32), np.float32) * np.float32(0.1),
    }
    np.savez(tmp_path / "adapters.npz", **pair)
    result = convert(tmp_path / "adapters.npz", tmp_path / "peft", to="peft", model=str(base.folder))
    assert result.source == "npz"
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.folder), tmp_path / "peft").eval()
    module = model.base_model.model.model.layers[0].self_attn.q_proj
    x = random.standard_normal((5, 32)).astype(np.float32)
    with torch.no_grad():
        found = module(torch.from_numpy(x)).numpy()
        plain = module.base_layer(torch.from_numpy(x)).numpy()
    # as mlx-examples' lora.py: y + 20 · (x @ lora_a) @ lora_b
    assert np.allclose(found, plain + 20 * (x @ pair[f"{Q}.lora_a"]) @ pair[f"{Q}.lora_b"], rtol=1e-5, atol=1e-5)
    convert(tmp_path / "adapters.npz", tmp_path / "mlx", to="mlx", model=str(base.folder))
    written = load_file(tmp_path / "mlx/adapters.safetensors")
    assert all(np.array_equal(written[name], pair[name]) for name in pair)
    assert np.abs(mlx_logits(base, tmp_path / "mlx") - peft_logits(base, tmp_path / "peft")).max() < 1e-3


# --- where the base comes from, and bad input


def test_the_base_is_the_one_that_the_adapter_names(base: ModelFiles, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(base.folder.parent)
    peft_folder(tmp_path / "peft", base, SPECS["lora"](base))
    assert convert(tmp_path / "peft", tmp_path / "mlx", to="mlx").tensors == 42
    config = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    (tmp_path / "peft/adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": None}))
    with pytest.raises(AdapterError, match="does not say what base model it was made for; give it: --model MODEL"):
        convert(tmp_path / "peft", tmp_path / "again", to="mlx")


def test_another_base_than_it_was_trained_on_is_told(base: ModelFiles, tmp_path: Path) -> None:
    peft_folder(tmp_path / "peft", base, SPECS["lora"](base))
    sibling = save_tiny(tmp_path / "sibling", "llama", seed=1)
    result = convert(tmp_path / "peft", tmp_path / "mlx", to="mlx", model=str(sibling))
    assert result.notices == ("the adapter was trained on base with other weights or settings than sibling has",)


def test_a_base_that_is_packed_otherwise_than_the_one_it_was_trained_on_is_told(tmp_path: Path) -> None:
    files = find(str(save_packed(tmp_path, "llama")))  # of the plain model base, which stands beside it
    peft_folder(tmp_path / "peft", files, SPECS["lora"](files))
    (notice,) = convert(tmp_path / "peft", tmp_path / "mlx", to="mlx", model=str(tmp_path / "base")).notices
    assert "was trained on packed in 4 bits in groups of 32, base is in plain numbers: it works on both" in notice


def test_a_run_is_converted_by_its_best_adapter(base: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.yaml").write_text("")
    with pytest.raises(AdapterError, match="has no adapter/ yet"):
        convert(tmp_path / "run", tmp_path / "mlx", to="mlx", model=str(base.folder))
    peft_folder(tmp_path / "run/adapter", base, SPECS["lora"](base))
    assert convert(tmp_path / "run", tmp_path / "mlx", to="mlx", model=str(base.folder)).source == "peft"


def test_what_can_not_be_converted_is_said_before_anything_is_written(base: ModelFiles, tmp_path: Path) -> None:
    peft_folder(tmp_path / "peft", base, SPECS["lora"](base))
    weights = AdapterSpec("full", {}, ("model.norm.weight",))
    write_adapter(tmp_path / "full", weights, random_tensors(weights, base), files=base, note={})
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    np.savez(foreign / "adapters.npz", **{"vision.conv.kernel": np.zeros((3, 3), np.float32)})
    half = shutil.copytree(tmp_path / "peft", tmp_path / "half")
    os.truncate(half / "adapter_model.safetensors", 3000)
    other = save_tiny(tmp_path / "other", "llama", hidden_size=48)
    own = str(base.folder)
    for source, settings_, message in (
        ("peft", {"to": "peft", "model": own}, "peft: is in this layout already"),
        ("peft", {"to": "huggingface", "model": own}, "convert it to peft or mlx, or make a model of it: myna fuse"),
        ("peft", {"to": "mlx", "model": own, "dtype": "bfloat16"}, "leave out the dtype"),
        ("peft", {"to": "mlx", "model": str(other)}, r"is 32 × 4, but other needs 48 × 4"),
        ("full", {"to": "peft", "model": own}, "have no form in PEFT; make a model of them: myna fuse"),
        ("foreign", {"to": "peft", "model": own}, r"holds vision\.conv\.kernel, which does not belong to an adapter"),
        ("half", {"to": "mlx", "model": own}, r"adapter_model\.safetensors: cut off"),
    ):
        with pytest.raises(ModelError, match=message):
            convert(tmp_path / source, tmp_path / "x", **settings_)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_fully_trained_weights_go_to_mlx(base: ModelFiles, tmp_path: Path) -> None:
    weights = AdapterSpec("full", {}, ("model.norm.weight", f"{Q}.weight"))
    tensors = random_tensors(weights, base)
    write_adapter(tmp_path / "full", weights, tensors, files=base, note={})
    convert(tmp_path / "full", tmp_path / "mlx", to="mlx", model=str(base.folder))
    found = load_file(tmp_path / "mlx/adapters.safetensors")
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)
    mlx_logits(base, tmp_path / "mlx")
