"""Quantised folders: what is read of them, and the one clear sentence for those that can't be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from myna.errors import AdapterError, ModelError
from myna.exporting.quantizing import quantize_model
from myna.models.files import find, locate
from myna.models.layers import linear_layers
from myna.models.quantization import Packing
from myna.models.spec import AdapterSpec, resolve, tensor_shapes
from tiny_models import save_tiny

LAYER = "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("plain") / "m", "llama", hidden_size=64, intermediate_size=96)


@pytest.fixture
def packed(plain: Path, tmp_path: Path) -> Path:
    return quantize_model(str(plain), tmp_path / "q", bits=4, group_size=32, overrides={LAYER: 8}).folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def edit_tensors(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "mlx"})


def test_layers_have_the_shapes_of_the_plain_model(plain: Path, packed: Path) -> None:
    before, after = find(str(plain)), find(str(packed))
    assert linear_layers(after) == linear_layers(before)
    assert {name: after.shape(name) for name in before.tensors} == {n: t.shape for n, t in before.tensors.items()}
    assert after.packing("model.layers.0.mlp.up_proj") == Packing(4, 32)
    assert after.packing(LAYER) == Packing(8, 32)
    assert after.packing("model.norm") is None
    assert (before.quantisation, after.quantisation) == (None, "mlx")
    settings: dict[str, Any] = {"keys": None, "num_layers": 2, "rank": 4, "scale": 2.0, "dropout": 0.0}
    specs = [resolve(files, kind="dora", **settings) for files in (before, after)]
    assert specs[0] == specs[1]
    assert tensor_shapes(specs[1], after) == tensor_shapes(specs[0], before)


def test_an_entry_under_the_hubs_name_alone_is_read_too(packed: Path) -> None:
    edit(packed, lambda config: config.pop("quantization"))
    assert find(str(packed)).packing(LAYER) == Packing(8, 32)


def test_full_fine_tuning_of_packed_weights_is_refused(packed: Path) -> None:
    files = find(str(packed))
    with pytest.raises(AdapterError, match=r"quantised: packed weights can't be trained.*lora or dora"):
        resolve(files, kind="full", keys=None, num_layers=-1, rank=1, scale=1.0, dropout=0.0)
    trained = AdapterSpec("full", {}, (f"{LAYER}.weight",))
    with pytest.raises(AdapterError, match=r"packed in 8 bits in groups of 32; fully trained weights only go on plain"):
        tensor_shapes(trained, files)


def test_without_its_entry_the_right_one_is_suggested(packed: Path) -> None:
    edit(packed, lambda config: (config.pop("quantization"), config.pop("quantization_config")))
    with pytest.raises(
        ModelError, match=r'no "quantization" to say how.*"quantization": {"group_size": 32, "bits": 4}'
    ):
        find(str(packed))
    assert locate(str(packed)).quantisation == "mlx"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"bits": 8},
            r"lm_head has words 97 × 8, scales 97 × 2 .* which 8 bits in groups of 32 don't make.*\"bits\": 4",
        ),
        ({"group_size": 64}, r"which 4 bits in groups of 64 don't make.*\"group_size\": 32"),
        ({"bits": 7}, r"quantization\.bits 7; expected 2, 3, 4, 5, 6 or 8"),
        ({"bits": "4"}, r"quantization\.bits '4'"),
        ({"group_size": 16}, r"quantization\.group_size 16; expected 32, 64 or 128"),
        ({LAYER: {"bits": 4, "group_size": 32}}, rf"{LAYER} has words 64 × 24.*which 4 bits in groups of 32"),
        ({LAYER: {"bits": 8}}, rf"quantization\.{LAYER}\.group_size None"),
        ({LAYER: False}, rf"{LAYER} is packed, but config\.json says under quantization that it is not"),
        (
            {"mode": "mxfp4"},
            r"quantization\.mode mxfp4, a format that is not read here \(affine is\).*myna model quantize",
        ),
    ],
)
def test_an_entry_that_does_not_fit_the_weights_is_said(packed: Path, entry: dict[str, Any], message: str) -> None:
    edit(packed, lambda config: config["quantization"].update(entry))
    with pytest.raises(ModelError, match=message):
        find(str(packed))


@pytest.mark.parametrize("part", ["weight", "scales", "biases"])
def test_a_missing_part_of_a_packed_layer_is_named(packed: Path, part: str) -> None:
    edit_tensors(packed, lambda tensors: tensors.pop(f"{LAYER}.{part}"))
    with pytest.raises(ModelError, match=rf"{LAYER} is packed, but {LAYER}\.{part} is missing"):
        find(str(packed))


def test_scales_beside_plain_weights_are_said(packed: Path) -> None:
    edit_tensors(packed, lambda tensors: tensors.update({f"{LAYER}.weight": np.zeros((64, 96), np.float32)}))
    with pytest.raises(ModelError, match=rf"{LAYER} is packed as F32 with scales of F32.*expected U32 words"):
        find(str(packed))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, r"packed by GPTQ \(4 bits\).*quantize THAT --bits 4"),
        ({"quant_method": "gptq", "bits": 8}, r"packed by GPTQ \(8 bits\).*--bits 8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, r"packed by AWQ \(4 bits\)"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, r"packed by bitsandbytes \(4 bits\)"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, r"packed by bitsandbytes \(8 bits\)"),
        ({"quant_method": "fp8"}, "packed by 8-bit floating point, a format that is not read here"),
        ({"quant_method": "brand-new"}, "packed by brand-new,"),
    ],
)
def test_other_programs_folders_are_named_with_what_to_use_instead(
    plain: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    folder = shutil.copytree(plain, tmp_path / "m")
    edit(folder, lambda config: config.update(quantization_config=settings))
    with pytest.raises(ModelError, match=rf"{message}.*"):
        find(str(folder))
    assert locate(str(folder)).quantisation == settings["quant_method"]


@pytest.mark.parametrize(
    ("names", "program"),
    [
        (("qweight", "qzeros", "scales", "g_idx"), "GPTQ"),
        (("qweight", "qzeros", "scales"), "AWQ"),
        (("weight", "weight.absmax", "weight.quant_map"), "bitsandbytes"),
        (("weight", "SCB"), "bitsandbytes"),
    ],
)
def test_they_are_known_by_their_tensors_where_no_entry_says_it(
    plain: Path, tmp_path: Path, names: tuple[str, ...], program: str
) -> None:
    folder = shutil.copytree(plain, tmp_path / "m")

    def change(tensors: dict[str, Any]) -> None:
        del tensors[f"{LAYER}.weight"]
        tensors.update({f"{LAYER}.{name}": np.zeros((4, 4), np.int32) for name in names})

    edit_tensors(folder, change)
    with pytest.raises(ModelError, match=rf"packed by {program}, a format that is not read here"):
        find(str(folder))
