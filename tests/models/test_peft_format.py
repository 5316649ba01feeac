"""Round trips with the real PEFT: what we write it loads, what it writes we load, number for number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from myna.errors import AdapterError
from myna.models.adapters import (
    AdapterSpec,
    LoraTarget,
    read_adapter,
    read_note,
    resolve,
    tensor_shapes,
    write_adapter,
)
from myna.models.files import ModelFiles, content_hash, read_tensor
from myna.models.peft_format import alpha_of

# PEFT asks transformers for a property that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

TOKENS = torch.arange(3, 20)[None]


def random_adapter(spec: AdapterSpec, files: ModelFiles, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal(shape, np.float32) * 0.1 + (name.endswith("_vector"))
        for name, shape in tensor_shapes(spec, files).items()
    }


def base_model(files: ModelFiles) -> Any:
    return AutoModelForCausalLM.from_pretrained(files.folder).eval()


def peft_weight(files: ModelFiles, path: str, target: LoraTarget, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The adapted weight by the papers' formulas, in float64."""
    weight = read_tensor(files.tensors[f"{path}.weight"]).astype(np.float64)
    weight += target.scale * tensors[f"{path}.lora_B.weight"].astype(np.float64) @ tensors[f"{path}.lora_A.weight"]
    if f"{path}.lora_magnitude_vector" in tensors:
        weight *= (tensors[f"{path}.lora_magnitude_vector"] / np.linalg.norm(weight, axis=1))[:, None]
    return weight


def _resolve(files: ModelFiles, **changed: Any) -> AdapterSpec:
    settings = {"kind": "lora", "keys": None, "num_layers": -1, "rank": 4, "scale": 20.0, "dropout": 0.0}
    return resolve(files, **{**settings, **changed})


SPECS = {
    "every layer": _resolve,
    "top layer": lambda files: _resolve(files, num_layers=1, keys=("q_proj", "down_proj")),
    "dora": lambda files: _resolve(files, kind="dora", num_layers=2),
    "single projections here and there": lambda files: AdapterSpec(
        "lora",
        {
            "model.layers.0.self_attn.q_proj": LoraTarget(4, 2.0),
            "model.layers.1.mlp.up_proj": LoraTarget(4, 2.0),
        },
    ),
    "ranks and scales that differ": lambda files: AdapterSpec(
        "dora",
        {
            "model.layers.0.self_attn.q_proj": LoraTarget(4, 2.0),
            "model.layers.1.self_attn.q_proj": LoraTarget(3, 1 / 7),
            "model.layers.2.mlp.up_proj": LoraTarget(4, 0.3),
            "model.layers.2.mlp.down_proj": LoraTarget(4, 2.0),
        },
        dropout=0.25,
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_peft_loads_what_we_write_and_computes_the_same(name: str, base: ModelFiles, tmp_path: Path) -> None:
    spec = SPECS[name](base)
    tensors = random_adapter(spec, base)
    write_adapter(tmp_path / "a", spec, tensors, files=base, note={})
    model = PeftModel.from_pretrained(base_model(base), tmp_path / "a")  # warns, and so fails, on a missing key
    adapted = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    assert adapted.keys() == spec.targets.keys()
    for path, module in adapted.items():
        target = spec.targets[path]
        assert module.r["default"] == target.rank
        assert module.scaling["default"] == target.scale
        for part in ("lora_A", "lora_B"):
            found = getattr(module, part)["default"].weight.detach().numpy()
            assert np.array_equal(found, tensors[f"{path}.{part}.weight"])
    assert model.peft_config["default"].lora_dropout == spec.dropout
    merged = model.merge_and_unload().state_dict()
    for path, target in spec.targets.items():
        expected = peft_weight(base, path, target, tensors)
        # PEFT computes in float32: a few units of 2⁻²⁴ relative to the largest summand
        assert np.allclose(merged[f"{path}.weight"].numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_what_we_write_we_read_back_exactly(name: str, base: ModelFiles, tmp_path: Path) -> None:
    spec = SPECS[name](base)
    tensors = random_adapter(spec, base)
    write_adapter(tmp_path / "a", spec, tensors, files=base, note={"sql": {"dialect": "sqlite"}, "text": "汉字"})
    found_spec, found = read_adapter(tmp_path / "a", base)
    assert found_spec == spec
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) and found[name].dtype == np.float32 for name in tensors)
    note = read_note(tmp_path / "a")
    assert note["base_hash"] == content_hash(base)
    assert note["sql"] == {"dialect": "sqlite"}
    assert note["text"] == "汉字"


PEFT_SETTINGS: dict[str, dict[str, Any]] = {
    "names": {"target_modules": ["q_proj", "v_proj"], "r": 4, "lora_alpha": 16},
    "all linear": {"target_modules": "all-linear", "r": 3, "lora_alpha": 5, "lora_dropout": 0.1},
    "regular expression": {"target_modules": r".*layers\.[12]\..*(up|down)_proj", "r": 4},
    "some layers": {"target_modules": ["o_proj"], "layers_to_transform": [0, 2], "r": 4},
    "rslora": {"target_modules": ["q_proj"], "r": 8, "lora_alpha": 16, "use_rslora": True},
    "dora": {"target_modules": ["q_proj", "gate_proj"], "r": 4, "use_dora": True},
    "patterns": {
        "target_modules": ["q_proj", "v_proj", "up_proj"],
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": {"v_proj": 2, r"layers\.1\.mlp\.up_proj": 6},
        "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 32, "mlp.up_proj": 3},
        "use_rslora": True,
    },
}


@pytest.mark.parametrize("name", PEFT_SETTINGS)
def test_what_peft_writes_we_read_exactly(name: str, base: ModelFiles, tmp_path: Path) -> None:
    model = get_peft_model(base_model(base), LoraConfig(task_type="CAUSAL_LM", **PEFT_SETTINGS[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(tmp_path / "a")
    spec, tensors = read_adapter(tmp_path / "a", base)
    modules = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    assert spec.targets == {
        path: LoraTarget(module.r["default"], module.scaling["default"]) for path, module in modules.items()
    }
    assert spec.dropout == PEFT_SETTINGS[name].get("lora_dropout", 0.0)
    assert spec.kind == ("dora" if PEFT_SETTINGS[name].get("use_dora") else "lora")
    count = 0
    for path, module in modules.items():
        parts = {
            "lora_A.weight": module.lora_A["default"].weight,
            "lora_B.weight": module.lora_B["default"].weight,
        }
        if spec.kind == "dora":
            parts["lora_magnitude_vector"] = module.lora_magnitude_vector["default"].weight
        for part, parameter in parts.items():
            assert np.array_equal(tensors[f"{path}.{part}"], parameter.detach().numpy())
            count += 1
    assert count == len(tensors)


def test_an_adapter_goes_from_peft_through_us_to_peft_with_the_same_logits(base: ModelFiles, tmp_path: Path) -> None:
    model = get_peft_model(base_model(base), LoraConfig(task_type="CAUSAL_LM", **PEFT_SETTINGS["patterns"])).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        expected = model(TOKENS).logits
    model.save_pretrained(tmp_path / "theirs")
    spec, tensors = read_adapter(tmp_path / "theirs", base)
    write_adapter(tmp_path / "ours", spec, tensors, files=base, note={})
    with torch.no_grad():
        found = PeftModel.from_pretrained(base_model(base), tmp_path / "ours").eval()(TOKENS).logits
    assert torch.equal(found, expected)


def test_the_usual_case_is_written_with_the_short_names_that_other_programs_look_for(
    base: ModelFiles, tmp_path: Path
) -> None:
    spec = _resolve(base, num_layers=2, keys=("self_attn.q_proj", "self_attn.v_proj"))
    write_adapter(tmp_path / "a", spec, random_adapter(spec, base), files=base, note={})
    config = json.loads((tmp_path / "a/adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert config["layers_to_transform"] == [1, 2]
    assert config["lora_alpha"] == 80
    assert config["base_model_name_or_path"] == base.folder.name
    assert str(base.folder.parent) not in (tmp_path / "a/adapter_config.json").read_text()
    assert str(base.folder.parent) not in (tmp_path / "a/myna.json").read_text()


@given(rank=st.integers(1, 512), alpha=st.floats(1e-3, 1e4), root=st.booleans())
def test_alpha_says_the_scale_again(rank: int, alpha: float, root: bool) -> None:
    scale = alpha / (rank**0.5 if root else rank)
    found = alpha_of(LoraTarget(rank, scale)) / rank
    # a scale that came from alpha / rank is met exactly; others to a unit in the last place
    assert found == scale if not root else abs(found - scale) <= np.spacing(scale)


def test_bfloat16_adapters_become_float32_exactly(base: ModelFiles, tmp_path: Path) -> None:
    spec = _resolve(base, keys=("q_proj",))
    write_adapter(tmp_path / "a", spec, random_adapter(spec, base), files=base, note={})
    stored = {
        f"base_model.model.{name}": torch.randn(shape).bfloat16() for name, shape in tensor_shapes(spec, base).items()
    }
    save_file(stored, tmp_path / "a/adapter_model.safetensors")
    for name, array in read_adapter(tmp_path / "a", base)[1].items():
        assert np.array_equal(array, stored[f"base_model.model.{name}"].float().numpy())


@pytest.fixture
def written(base: ModelFiles, tmp_path: Path) -> Path:
    spec = _resolve(base)
    write_adapter(tmp_path / "a", spec, random_adapter(spec, base), files=base, note={})
    return tmp_path / "a"


def _config(folder: Path, **changed: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def _weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "adapter_model.safetensors")


def _only_pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_only_pickle, "only adapter_model.bin, a pickle, which is never unpickled"),
        (lambda a: (a / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors"),
        (lambda a: _config(a, peft_type="LOHA"), "peft_type is LOHA; only LORA"),
        (
            lambda a: _config(a, modules_to_save=["lm_head"]),
            r"modules_to_save = \['lm_head'\] is not supported",
        ),
        (lambda a: _config(a, trainable_token_indices=[1]), "trainable_token_indices"),
        (lambda a: _config(a, bias="all"), r"bias = all \(trained biases\)"),
        (lambda a: _config(a, init_lora_weights="pissa_niter_4"), "pissa_niter_4 changed the base weights"),
        (lambda a: _config(a, r=5), "rank 5, but its lora_A has 4 rows"),
        (lambda a: _config(a, use_dora=True), "lora_magnitude_vector is missing"),
        (lambda a: _config(a, lora_alpha=None), "lora_alpha is None; expected a number"),
        (lambda a: _config(a, rank_pattern={"(": 4}), r"rank_pattern has .\(., which is not used"),
        (lambda a: _weights(a, {}), "holds no LoRA layer"),
        (
            lambda a: _weights(
                a, {**load_file(a / "adapter_model.safetensors"), f"{Q}_.lora_B.weight": torch.zeros(32, 4)}
            ),
            r"q_proj_\.lora_B\.weight has no counterpart",
        ),
        (lambda a: _weights(a, {f"{Q}.lora_A.weight": torch.zeros(4, 32)}), "lora_B.weight is missing"),
        (lambda a: _weights(a, {f"{Q}.lora_B.weight": torch.zeros(32, 4)}), "holds no LoRA layer"),
        (lambda a: _weights(a, {f"{Q}.lora_magnitude_vector": torch.zeros(32)}), 'does not say "use_dora"'),
        (
            lambda a: _weights(a, {"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(4, 97)}),
            "embed_tokens.lora_embedding_A, which is not supported",
        ),
        (
            lambda a: _weights(a, {f"base_model.model.lm_head.lora_{part}.weight": torch.zeros(4, 4) for part in "AB"}),
            r"adapts lm_head, which is not supported; .*\(no embeddings, no head\)",
        ),
        (
            lambda a: _weights(a, {"base_model.model.lm_head.weight": torch.zeros(97, 32)}),
            "lm_head.weight, which is not supported",
        ),
        (lambda a: (a / "adapter_config.json").write_text("{"), "not valid JSON"),
        (lambda a: (a / "adapter_model.safetensors").write_bytes(b"x" * 100), "not a safetensors file"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    written: Path, base: ModelFiles, damage: Callable[[Path], object], message: str
) -> None:
    damage(written)
    with pytest.raises(AdapterError, match=message):
        read_adapter(written, base)
