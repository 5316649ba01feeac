"""Adapters of mlx-lm and of the older mlx-examples: transposed factors, one scale, names without
`.weight`."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from myna.errors import AdapterError
from myna.models.adapters import (
    AdapterSpec,
    LoraTarget,
    read_adapter,
    resolve,
    tensor_shapes,
    write_mlx_adapter,
)
from myna.models.files import ModelFiles, read_tensor

UP = "model.layers.2.mlp.up_proj"
random = np.random.default_rng(0)


def tensors_of(spec: AdapterSpec, files: ModelFiles) -> dict[str, np.ndarray]:
    return {name: random.standard_normal(shape, np.float32) for name, shape in tensor_shapes(spec, files).items()}


def mlx_folder(folder: Path, arrays: dict[str, np.ndarray], **config: Any) -> Path:
    folder.mkdir()
    save_file(arrays, folder / "adapters.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_what_we_write_for_mlx_we_read_back_exactly(kind: Any, base: ModelFiles, tmp_path: Path) -> None:
    spec = resolve(base, kind=kind, keys=("q_proj", "up_proj"), num_layers=2, rank=4, scale=20.0, dropout=0.1)
    tensors = tensors_of(spec, base)
    write_mlx_adapter(tmp_path / "a", spec, tensors, files=base)
    found, arrays = read_adapter(tmp_path / "a", base)
    assert found == spec
    assert arrays.keys() == tensors.keys()
    assert all(np.array_equal(arrays[name], tensors[name]) for name in tensors)
    config = json.loads((tmp_path / "a/adapter_config.json").read_text())
    assert config["num_layers"] == 2
    assert config["lora_parameters"]["keys"] == ["mlp.up_proj", "self_attn.q_proj"]


def test_the_factors_are_transposed_as_mlx_keeps_them(base: ModelFiles, tmp_path: Path) -> None:
    spec = AdapterSpec("dora", {UP: LoraTarget(3, 2.0)})
    tensors = tensors_of(spec, base)
    write_mlx_adapter(tmp_path / "a", spec, tensors, files=base)
    stored = load_file(tmp_path / "a/adapters.safetensors")
    assert {name: array.shape for name, array in stored.items()} == {
        f"{UP}.lora_a": (32, 3),
        f"{UP}.lora_b": (3, 48),
        f"{UP}.m": (48,),
    }
    x = random.standard_normal((5, 32)).astype(np.float32)
    ours = x @ tensors[f"{UP}.lora_A.weight"].T @ tensors[f"{UP}.lora_B.weight"].T
    assert np.array_equal(x @ stored[f"{UP}.lora_a"] @ stored[f"{UP}.lora_b"], ours)


def test_differing_ranks_and_scales_become_one_that_computes_the_same(base: ModelFiles, tmp_path: Path) -> None:
    spec = AdapterSpec("lora", {UP: LoraTarget(2, 0.5), UP.replace("2", "0"): LoraTarget(5, 3.0)})
    tensors = tensors_of(spec, base)
    write_mlx_adapter(tmp_path / "a", spec, tensors, files=base)
    stored = load_file(tmp_path / "a/adapters.safetensors")
    for path, target in spec.targets.items():
        assert stored[f"{path}.lora_a"].shape[1] == 5
        expected = target.scale * tensors[f"{path}.lora_B.weight"] @ tensors[f"{path}.lora_A.weight"]
        product = 3.0 * (stored[f"{path}.lora_a"] @ stored[f"{path}.lora_b"]).T
        assert np.allclose(product, expected, rtol=1e-5, atol=1e-6)  # one rounding of B, in float32


def test_full_fine_tuning_by_mlx_is_read(base: ModelFiles, tmp_path: Path) -> None:
    arrays = {"model.norm.weight": np.ones(32, np.float32), f"{UP}.weight": np.ones((48, 32), np.float32)}
    folder = mlx_folder(tmp_path / "a", arrays, fine_tune_type="full", num_layers=-1)
    spec, tensors = read_adapter(folder, base)
    assert spec == AdapterSpec("full", {}, (f"{UP}.weight", "model.norm.weight"))
    assert np.array_equal(tensors["model.norm.weight"], arrays["model.norm.weight"])
    write_mlx_adapter(tmp_path / "b", spec, tensors, files=base)
    assert read_adapter(tmp_path / "b", base)[0] == spec


def test_an_earlier_save_of_mlx_is_read_by_its_files_name(base: ModelFiles, tmp_path: Path) -> None:
    pair = {f"{UP}.lora_a": np.ones((32, 2), np.float32), f"{UP}.lora_b": np.ones((2, 48), np.float32)}
    folder = mlx_folder(tmp_path / "a", pair, lora_parameters={"rank": 2, "scale": 10.0})
    save_file({name: array * 7 for name, array in pair.items()}, folder / "0000200_adapters.safetensors")
    assert read_adapter(folder, base)[1][f"{UP}.lora_A.weight"].max() == 1
    assert read_adapter(folder / "0000200_adapters.safetensors", base)[1][f"{UP}.lora_A.weight"].max() == 7


def test_the_old_npz_is_read_with_the_scale_of_its_time_or_the_one_beside_it(base: ModelFiles, tmp_path: Path) -> None:
    pair = {
        f"{UP}.lora_a": random.standard_normal((32, 2), np.float32),
        f"{UP}.lora_b": np.ones((2, 48), np.float32),
    }
    np.savez(tmp_path / "adapters.npz", **pair)
    for given in (tmp_path, tmp_path / "adapters.npz"):
        spec, tensors = read_adapter(given, base)
        assert spec == AdapterSpec("lora", {UP: LoraTarget(2, 20.0)})
        assert np.array_equal(tensors[f"{UP}.lora_A.weight"], pair[f"{UP}.lora_a"].T)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_parameters": {"scale": 2.0}}))
    assert read_adapter(tmp_path, base)[0].targets[UP].scale == 2.0


def test_bfloat16_in_an_npz_is_read(base: ModelFiles, tmp_path: Path) -> None:
    half = torch.randn(32, 2).bfloat16()
    np.savez(
        tmp_path / "adapters.npz",
        **{
            f"{UP}.lora_a": half.view(torch.int16).numpy().view("V2"),
            f"{UP}.lora_b": np.ones((2, 48), np.float32),
        },
    )
    assert np.array_equal(read_adapter(tmp_path, base)[1][f"{UP}.lora_A.weight"], half.float().numpy().T)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_a_pickle_in_an_npz_is_refused_and_not_run(base: ModelFiles, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "adapters.npz", **{f"{UP}.lora_a": np.array([Bomb()], dtype=object)})
    with pytest.raises(AdapterError, match=r"not a readable \.npz of plain arrays"):
        read_adapter(tmp_path, base)
    (tmp_path / "adapters.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AdapterError, match=r"not a readable \.npz of plain arrays"):
        read_adapter(tmp_path, base)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("damage", ["cut", "npy"])
def test_a_file_that_is_no_archive_is_told_without_advice_to_unpickle(
    damage: str, base: ModelFiles, tmp_path: Path
) -> None:
    file = tmp_path / "adapters.npz"
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    if damage == "cut":
        file.write_bytes(b"x")
    with pytest.raises(AdapterError, match=r"plain arrays \(no zip archive, or cut off\); copy it again$"):
        read_adapter(file, base)


LORA = {"lora_parameters": {"rank": 2, "scale": 20.0}}
PAIR = {f"{UP}.lora_a": np.zeros((32, 2), np.float32), f"{UP}.lora_b": np.zeros((2, 48), np.float32)}


@pytest.mark.parametrize(
    ("arrays", "config", "message"),
    [
        (PAIR, {"lora_parameters": {"rank": 2}}, "lora_parameters.scale is None; expected a number"),
        (PAIR, {"lora_parameters": [1]}, "lora_parameters is .* expected an object"),
        ({**PAIR, "model.layers.0.mlp.up_proj.lora_b": PAIR[f"{UP}.lora_b"]}, LORA, "has no counterpart"),
        (PAIR, {**LORA, "fine_tune_type": "vera"}, "fine_tune_type is 'vera'; expected lora, dora or full"),
        (PAIR, {**LORA, "fine_tune_type": "dora"}, "lora_magnitude_vector is missing"),
        (
            {**PAIR, f"{UP}.m": np.zeros(48, np.float32)},
            LORA,
            r"up_proj\.m, which does not belong to an adapter of type lora",
        ),
        ({**PAIR, "x.weight": np.zeros(1, np.float32)}, LORA, "x.weight, which does not belong"),
        ({f"{UP}.lora_a": PAIR[f"{UP}.lora_a"]}, LORA, "lora_B.weight is missing"),
        ({}, LORA, "holds no tensors"),
        (
            {
                "model.embed_tokens.lora_a": np.zeros((97, 2), np.float32),
                "model.embed_tokens.lora_b": np.zeros((2, 32), np.float32),
            },
            LORA,
            "adapts model.embed_tokens, which is not supported",
        ),
        (
            {
                f"{UP}.lora_a": np.zeros((4, 2, 32), np.float32),
                f"{UP}.lora_b": np.zeros((4, 48, 2), np.float32),
            },
            LORA,
            r"has the shape 32 × 2 × 4, which no linear layer has",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    arrays: dict[str, np.ndarray], config: dict[str, Any], message: str, base: ModelFiles, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=message):
        read_adapter(mlx_folder(tmp_path / "a", arrays, **config), base)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_mlx_lm_itself_loads_what_we_write(kind: Any, base: ModelFiles, tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed")
    utils = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed")
    spec = resolve(base, kind=kind, keys=("q_proj", "up_proj"), num_layers=2, rank=4, scale=2.0, dropout=0.0)
    tensors = tensors_of(spec, base)
    write_mlx_adapter(tmp_path / "a", spec, tensors, files=base)
    model, _ = utils.load_model(base.folder)
    model = utils.load_adapters(model, str(tmp_path / "a"))
    module = model.model.layers[2].mlp.up_proj
    weight = read_tensor(base.tensors[f"{UP}.weight"])
    weight = weight + 2.0 * tensors[f"{UP}.lora_B.weight"] @ tensors[f"{UP}.lora_A.weight"]
    if kind == "dora":
        weight *= (tensors[f"{UP}.lora_magnitude_vector"] / np.linalg.norm(weight, axis=1))[:, None]
    x = random.standard_normal((5, 32)).astype(np.float32)
    assert np.allclose(np.array(module(mx.array(x))), x @ weight.T, rtol=1e-4, atol=1e-4)


def test_what_mlx_lm_itself_saves_we_read_exactly(base: ModelFiles, tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed")
    flatten = pytest.importorskip("mlx.utils", reason="mlx is not installed").tree_flatten
    utils = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed")
    tuner = pytest.importorskip("mlx_lm.tuner.utils", reason="mlx-lm is not installed")
    settings = {"rank": 4, "scale": 10.0, "dropout": 0.0}
    model, _ = utils.load_model(base.folder)
    model.freeze()
    tuner.linear_to_lora_layers(model, 2, settings)
    trained = dict(flatten(model.trainable_parameters()))
    (tmp_path / "a").mkdir()
    mx.save_safetensors(str(tmp_path / "a/adapters.safetensors"), trained)
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": settings, "model": "some/model"}
    (tmp_path / "a/adapter_config.json").write_text(json.dumps(config))
    spec, tensors = read_adapter(tmp_path / "a", base)
    assert spec == resolve(base, kind="lora", keys=None, num_layers=2, rank=4, scale=10.0, dropout=0.0)
    for name, array in trained.items():
        ours = name.replace("lora_a", "lora_A.weight").replace("lora_b", "lora_B.weight")
        assert np.array_equal(tensors.pop(ours), np.array(array).T)
    assert not tensors
