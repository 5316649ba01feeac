"""Which tensors an adapter trains, told from the base model's headers alone."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from myna.errors import AdapterError
from myna.models.adapters import AdapterSpec, LoraTarget, initial_tensors, resolve, tensor_shapes
from myna.models.files import ModelFiles, TensorInfo, find
from myna.models.layers import layer_count, layer_index, linear_layers
from tiny_models import ARCHITECTURES, save_tiny

IN_A_LAYER = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"} | {
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
}


def lora(files: ModelFiles, **changed: object) -> AdapterSpec:
    settings = {"kind": "lora", "keys": None, "num_layers": -1, "rank": 2, "scale": 20.0, "dropout": 0.0}
    return resolve(files, **{**settings, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "index"),
    [
        ("model.layers.3.self_attn.q_proj", 3),
        ("model.layers.12.mlp.up_proj.weight", 12),
        ("language_model.model.layers.0.mlp.up_proj", 0),
        ("model.language_model.layers.7.mlp.up_proj", 7),
        ("layers.5.mlp.up_proj", 5),
        ("vision_tower.vision_model.encoder.layers.5.mlp.fc1", None),
        ("model.vision_tower.encoder.layers.5.mlp.fc1", None),
        ("model.embed_tokens", None),
        ("lm_head", None),
        ("model.norm.weight", None),
    ],
)
def test_only_the_language_models_own_layers_count(path: str, index: int | None) -> None:
    assert layer_index(path) == index


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_linear_layers_are_those_that_transformers_has(architecture: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", architecture)
    model = AutoModelForCausalLM.from_pretrained(folder)
    expected = {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if type(module).__name__ == "Linear" and name != "lm_head"
    }
    files = find(str(folder))
    assert linear_layers(files) == expected
    assert layer_count(files) == model.config.num_hidden_layers


def test_layers_are_counted_from_the_top_and_all_projections_are_the_default(base: ModelFiles) -> None:
    assert lora(base, num_layers=1).targets == {f"model.layers.2.{name}": LoraTarget(2, 20.0) for name in IN_A_LAYER}
    everything = lora(base)
    assert len(everything.targets) == 3 * 7
    assert lora(base, num_layers=3) == everything
    assert [layer_index(path) for path in everything.targets] == [0] * 7 + [1] * 7 + [2] * 7


@pytest.mark.parametrize(
    "keys", [("self_attn.q_proj", "self_attn.v_proj"), ("q_proj", "v_proj"), ["v_proj", "attn.q_proj"]]
)
def test_keys_name_projections_by_their_path_or_its_end(base: ModelFiles, keys: tuple[str, ...]) -> None:
    if "attn.q_proj" in keys:  # half a name is no name
        with pytest.raises(AdapterError, match=r"no linear layer 'attn.q_proj'"):
            lora(base, keys=keys)
        return
    expected = {"self_attn.q_proj", "self_attn.v_proj"}
    assert set(lora(base, keys=keys, num_layers=1).targets) == {f"model.layers.2.{name}" for name in expected}


def test_mlx_names_of_fused_projections_work_where_the_model_has_them(tmp_path: Path) -> None:
    files = find(str(save_tiny(tmp_path / "m", "phi3")))
    targets = lora(files, keys=("self_attn.qkv_proj", "mlp.gate_up_proj"), num_layers=1).targets
    assert set(targets) == {"model.layers.2.self_attn.qkv_proj", "model.layers.2.mlp.gate_up_proj"}


@pytest.mark.parametrize("number", [4, 100, 0])
def test_more_layers_than_the_model_has_are_refused_with_both_numbers(base: ModelFiles, number: int) -> None:
    for kind in ("lora", "full"):
        with pytest.raises(AdapterError, match=rf"num_layers is {number}, but .* has 3 decoder layers; choose 1 to 3"):
            lora(base, kind=kind, num_layers=number)


def test_an_unknown_key_is_answered_with_the_nearest_and_the_list(base: ModelFiles) -> None:
    with pytest.raises(AdapterError, match=r"'q_projj'.*did you mean 'q_proj'\?.*self_attn\.v_proj"):
        lora(base, keys=("v_proj", "q_projj"))
    with pytest.raises(AdapterError, match="no linear layer 'lm_head'"):
        lora(base, keys=("lm_head",))


def test_a_rank_above_a_layers_size_is_refused_naming_the_layer(base: ModelFiles) -> None:
    with pytest.raises(
        AdapterError, match=r"rank 17 is more than model.layers.0.self_attn.k_proj can have \(16 × 32\)"
    ):
        lora(base, rank=17)
    assert lora(base, rank=32, keys=("q_proj",)).targets


def test_full_fine_tuning_trains_every_tensor_or_those_of_the_top_layers(base: ModelFiles) -> None:
    assert set(lora(base, kind="full").weights) == set(base.tensors)
    top = lora(base, kind="full", num_layers=1)
    assert set(top.weights) == {name for name in base.tensors if name.startswith("model.layers.2.")}
    assert not top.targets


def test_full_fine_tuning_leaves_out_constants_and_the_heads_copy_of_a_tied_embedding(
    base: ModelFiles,
) -> None:
    place = base.tensors["model.norm.weight"]
    extra = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": place,
        "lm_head.weight": base.tensors["model.embed_tokens.weight"],
        "model.counter": TensorInfo(place.file, "I64", (1,), 0, 8),
    }
    tied = ModelFiles("m", base.folder, {**base.config, "tie_word_embeddings": True}, {**base.tensors, **extra})
    assert set(lora(tied, kind="full").weights) == set(base.tensors) - {"lm_head.weight"}


def test_shapes_follow_rank_and_layer_and_a_foreign_layer_is_named(base: ModelFiles) -> None:
    path = "model.layers.1.mlp.up_proj"
    spec = AdapterSpec("dora", {path: LoraTarget(3, 1.0)})
    assert tensor_shapes(spec, base) == {
        f"{path}.lora_A.weight": (3, 32),
        f"{path}.lora_B.weight": (48, 3),
        f"{path}.lora_magnitude_vector": (48,),
    }
    with pytest.raises(AdapterError, match=r"no linear layer model\.layers\.9\.mlp\.up_proj"):
        tensor_shapes(AdapterSpec("lora", {"model.layers.9.mlp.up_proj": LoraTarget(3, 1.0)}), base)
    with pytest.raises(AdapterError, match=r"no tensor model\.absent"):
        tensor_shapes(AdapterSpec("full", {}, ("model.absent",)), base)


def test_a_fresh_adapter_changes_nothing_and_is_uniform_within_its_bounds(base: ModelFiles) -> None:
    for kind in ("lora", "dora"):
        tensors = initial_tensors(lora(base, kind=kind, rank=8), base, seed=3)
        assert tensors.keys() == {
            f"{path}.{part}.weight" for path in linear_layers(base) for part in ("lora_A", "lora_B")
        }
        for name, array in tensors.items():
            assert array.dtype == np.float32
            if "lora_B" in name:
                assert not array.any()
            else:
                bound = 1 / math.sqrt(array.shape[1])
                assert np.abs(array).max() <= np.float32(bound)
                # of 256 or more uniform values: mean within 5 standard errors, and both ends reached
                assert abs(array.mean()) < 5 * bound / math.sqrt(3 * array.size)
                assert array.min() < -0.9 * bound < 0.9 * bound < array.max()
    assert initial_tensors(lora(base, kind="full"), base, seed=3) == {}


def test_a_layer_starts_the_same_whichever_others_are_trained(base: ModelFiles) -> None:
    few = initial_tensors(lora(base, num_layers=1, keys=("q_proj",)), base, seed=5)
    many = initial_tensors(lora(base), base, seed=5)
    assert all(np.array_equal(array, many[name]) for name, array in few.items())
    other_seed = initial_tensors(lora(base), base, seed=6)
    name = "model.layers.2.self_attn.q_proj.lora_A.weight"
    assert not np.array_equal(many[name], other_seed[name])
    assert not np.array_equal(many[name], many[name.replace("q_proj", "o_proj")])


def test_the_first_adapter_is_the_same_on_every_machine(base: ModelFiles) -> None:
    # bytes fixed by the definition (PCG64, SHA-256 of the name), so that both engines start alike for ever
    name = "model.layers.0.self_attn.q_proj.lora_A.weight"
    program = (
        "from myna.models.adapters import initial_tensors, resolve; from myna.models.files import find; "
        "import sys;"
        "files = find(sys.argv[1]); spec = resolve(files, kind='lora', keys=None, num_layers=-1, rank=2, "
        "scale=1.0,"
        "dropout=0.0); print(initial_tensors(spec, files, 0)[sys.argv[2]][0, :3].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(base.folder), name], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[0.03661857172846794, -0.003638832364231348, -0.08270012587308884]"
