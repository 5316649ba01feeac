"""Quantising a model folder, held to mlx-lm: the same bytes, and the same answers in both."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch_file

from myna.engines.torch import TorchEngine
from myna.errors import ModelError, ResourceError
from myna.exporting import convert
from myna.exporting.quantizing import quantize_model
from myna.models.files import find
from myna.models.quantization import Packing
from packed_models import WIDE
from tiny_models import ARCHITECTURES, random_tokens, save_tiny

WINDOWED = {"mistral": {"sliding_window": None}, "gemma2": {"sliding_window": 64}}
"""mlx-lm leaves these windows out: too long to matter here."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "base", "llama", dtype=torch.bfloat16, **WIDE)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / request.param
    return save_tiny(folder, request.param, **WIDE, **WINDOWED.get(request.param, {}))


def bits_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder as whole numbers, so that equal means equal in every bit."""
    tensors: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        tensors |= load_torch_file(file)
    return {name: tensor.contiguous().view(torch.uint8) for name, tensor in tensors.items()}


def test_a_folder_is_what_mlx_lm_makes_of_the_same_model(architecture: Path, tmp_path: Path) -> None:
    mlx_lm = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed")

    def settings(path: str, module: Any) -> bool | dict[str, Any]:
        down = {"group_size": 32, "bits": 6, "mode": "affine"}
        return down if path.endswith("down_proj") else not path.endswith("o_proj")

    ours = quantize_model(
        str(architecture), tmp_path / "ours", group_size=32, keep=["o_proj"], overrides={"down_proj": 6}
    )
    model, config = mlx_lm.load_model(architecture)
    model, config = mlx_lm.quantize_model(model, config, 32, 4, quant_predicate=settings)
    mlx_lm.save_model(tmp_path / "theirs", model)
    expected, found = bits_of(tmp_path / "theirs"), bits_of(ours.folder)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    entry = json.loads((ours.folder / "config.json").read_text())["quantization"]
    assert entry == config["quantization"]
    # and theirs, with the configuration that mlx-lm writes, is a model here
    shutil.copy(architecture / "config.json", tmp_path / "theirs/config.json")
    plain = json.loads((architecture / "config.json").read_text())
    (tmp_path / "theirs/config.json").write_text(json.dumps({**plain, "quantization": entry}))
    tokens = random_tokens(np.random.default_rng(0), 12)
    logits = [TorchEngine().load(find(str(f)), device="cpu").logits(tokens) for f in (tmp_path / "theirs", ours.folder)]
    assert np.array_equal(*logits)


def test_mlx_lm_loads_it_and_computes_what_we_compute(architecture: Path, tmp_path: Path) -> None:
    mlx_lm = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed")
    mx = pytest.importorskip("mlx.core")
    folder = quantize_model(str(architecture), tmp_path / "q", group_size=32, keep=["o_proj"]).folder
    tokens = random_tokens(np.random.default_rng(0), 12)
    ours = TorchEngine().load(find(str(folder)), dtype="float32", device="cpu").logits(tokens)
    model, _ = mlx_lm.load_model(folder)
    theirs = np.array(model(mx.array(tokens)[None])[0].astype(mx.float32))
    # two libraries in float32 through three layers with large random weights
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_settings_are_written_for_the_layers_that_differ(base: Path, tmp_path: Path) -> None:
    result = quantize_model(
        str(base),
        tmp_path / "q",
        bits=4,
        group_size=64,
        keep=["lm_head", "model.layers.0"],
        overrides={"down_proj": Packing(8, 32), "model.layers.2.mlp.down_proj": Packing(3, 32), "up_proj": 4},
    )
    usual = {"group_size": 64, "bits": 4, "mode": "affine"}
    config = json.loads((result.folder / "config.json").read_text())
    assert config["quantization"] == config["quantization_config"]
    assert config["quantization"] == {
        **usual,
        "model.layers.1.mlp.down_proj": {**usual, "bits": 8, "group_size": 32},
        "model.layers.2.mlp.down_proj": {**usual, "bits": 3, "group_size": 32},
    }
    assert sorted(result.kept) == sorted(
        ["lm_head", *(f"model.layers.0.self_attn.{name}_proj" for name in "qkvo")]
        + [f"model.layers.0.mlp.{name}_proj" for name in ("gate", "up", "down")]
    )
    assert result.layers == 1 + 2 * 7
    files = find(str(result.folder))
    assert files.tensors["lm_head.weight"].dtype == "BF16"
    assert files.tensors["model.layers.1.mlp.up_proj.scales"].dtype == "BF16"
    assert result.bytes == sum(info.bytes for info in files.tensors.values())


def test_shards_and_single_files_become_the_same_weights(base: Path, tmp_path: Path) -> None:
    tensors = load_torch_file(base / "model.safetensors")
    names = sorted(tensors)
    (tmp_path / "shards").mkdir()
    shutil.copy(base / "config.json", tmp_path / "shards")
    from safetensors.torch import save_file as save_torch_file

    for number, some in enumerate((names[:5], names[5:]), start=1):
        part = {name: tensors[name] for name in some}
        save_torch_file(part, tmp_path / f"shards/model-{number:05d}-of-00002.safetensors", {"format": "pt"})
    one, many = (
        quantize_model(str(source), tmp_path / out, group_size=32).folder
        for source, out in ((base, "one"), (tmp_path / "shards", "many"))
    )
    assert len(list(many.glob("*.safetensors"))) == 2
    first, second = bits_of(one), bits_of(many)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_another_dtype_is_that_of_scales_and_of_what_is_kept(base: Path, dtype: Any, tmp_path: Path) -> None:
    folder = quantize_model(str(base), tmp_path / "q", group_size=32, keep=["o_proj"], dtype=dtype).folder
    stored = {str(t.dtype).removeprefix("torch.") for t in load_torch_file(folder / "model.safetensors").values()}
    assert stored == {"uint32", dtype}
    assert json.loads((folder / "config.json").read_text())["dtype"] == dtype


def test_companions_come_along(base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "LICENSE").write_text("free")
    made = quantize_model(str(folder), tmp_path / "q", group_size=32).folder
    assert {"tokenizer.json", "LICENSE", "config.json", "model.safetensors"} <= {p.name for p in made.iterdir()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 7}, "bits 7; expected 2, 3, 4, 5, 6 or 8"),
        ({"group_size": 16}, "group size 16; expected 32, 64 or 128"),
        ({"overrides": {"down_proj": 9}}, "overrides: down_proj: bits 9"),
        ({"keep": ["down"]}, r"no layer 'down' that could be packed.*it has .*mlp\.down_proj"),
        ({"overrides": {"q_prj": 8}}, r"no layer 'q_prj'.*did you mean 'q_proj'"),
        ({"group_size": 64}, r"mlp\.down_proj have 96 weights.*--group-size 32, or --override mlp\.down_proj=4x32"),
    ],
)
def test_settings_that_do_not_fit_are_said_before_anything_is_written(
    base: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        quantize_model(str(base), tmp_path / "q", **{"group_size": 32, **settings})
    assert list(tmp_path.iterdir()) == []


def test_rows_that_no_group_divides_can_only_be_kept(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "llama", hidden_size=64)
    with pytest.raises(
        ModelError, match=r"have 48 weights.*no group size does; leave it as it is: --keep mlp\.down_proj"
    ):
        quantize_model(str(base), tmp_path / "q")
    assert quantize_model(str(base), tmp_path / "q", keep=["mlp.down_proj"]).layers == 2 + 3 * 6


def test_a_quantised_model_is_not_quantised_again(base: Path, tmp_path: Path) -> None:
    once = quantize_model(str(base), tmp_path / "once", group_size=32).folder
    with pytest.raises(ModelError, match="is quantised already; quantising again adds up the errors of both"):
        quantize_model(str(once), tmp_path / "twice", group_size=32)


def test_numbers_that_are_not_finite_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "llama", **WIDE)
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] = np.inf
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight holds numbers that are not finite"):
        quantize_model(str(base), tmp_path / "q", group_size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_an_existing_output_and_a_full_disk_are_said(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("")
    with pytest.raises(ModelError, match="exists already"):
        quantize_model(str(base), tmp_path / "there", group_size=32)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(ResourceError, match="GB are free"):
        quantize_model(str(base), tmp_path / "q", group_size=32)


def test_a_quantised_model_whose_layers_have_biases_is_converted_back(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "qwen2", **WIDE)
    packed = quantize_model(str(base), tmp_path / "q", group_size=32).folder
    convert(packed, tmp_path / "plain", to="huggingface")
    tokens = random_tokens(np.random.default_rng(0), 12)
    logits = [
        TorchEngine().load(find(str(f)), device="cpu", dtype="float32").logits(tokens)
        for f in (packed, tmp_path / "plain")
    ]
    assert np.allclose(*logits, rtol=0, atol=1e-5 * np.abs(logits[0]).max())


def test_less_memory_is_taken_than_the_largest_layer_has(tmp_path: Path) -> None:
    base = save_tiny(
        tmp_path / "base", "llama", dtype=torch.bfloat16, vocab_size=60_000, **{**WIDE, "hidden_size": 256}
    )
    largest = 2 * 60_000 * 256
    tracemalloc.start()
    try:
        quantize_model(str(base), tmp_path / "q", group_size=32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < largest


def test_a_head_that_is_a_copy_of_the_embedding_is_left_out(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "qwen2", **WIDE)
    tensors = load_file(base / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    folder = quantize_model(str(base), tmp_path / "q", group_size=32).folder
    assert not any(name.startswith("lm_head") for name in find(str(folder)).tensors)
    model = TorchEngine().load(find(str(folder)), device="cpu")
    assert np.isfinite(model.logits(random_tokens(np.random.default_rng(0), 5))).all()
