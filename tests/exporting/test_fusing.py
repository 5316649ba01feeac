"""Fusing, held to PEFT's own merge, to transformers as the reader, and to base + adapter in the engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from myna.errors import AdapterError, ModelError, RecipeError, ResourceError
from myna.exporting import fuse
from myna.exporting.agreement import compare
from myna.models.adapters import AdapterSpec, LoraTarget, read_adapter, resolve, tensor_shapes, write_adapter
from myna.models.files import ModelFiles, find, read_tensor
from tiny_models import ARCHITECTURES, TINY, save_tiny

# PEFT asks transformers for a property that transformers is about to rename
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

TOKENS = torch.arange(3, 20)[None]


def save_adapter(folder: Path, files: ModelFiles, spec: AdapterSpec | None = None, **settings: Any) -> AdapterSpec:
    """Write an adapter of random numbers, large enough to change what the model says."""
    usual = {"kind": "lora", "keys": None, "num_layers": -1, "rank": 4, "scale": 2.0, "dropout": 0.0}
    spec = spec or resolve(files, **{**usual, **settings})
    random = np.random.default_rng(0)
    tensors = {}
    for name, shape in tensor_shapes(spec, files).items():
        tensors[name] = random.standard_normal(shape, np.float32) * np.float32(0.2) + name.endswith("_vector")
    write_adapter(folder, spec, tensors, files=files, note={"data": "wikisql", "text": "a|b\nc"})
    return spec


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "base", "llama")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "lora"
    save_adapter(folder, find(str(base)))
    return folder


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder).eval()(TOKENS).logits


SPECS = {
    "lora": {},
    "top layer": {"num_layers": 1, "keys": ("q_proj", "down_proj")},
    "dora": {"kind": "dora", "rank": 3},
    "patterns": {
        "spec": AdapterSpec(
            "dora",
            {
                "model.layers.0.self_attn.q_proj": LoraTarget(4, 2.0),
                "model.layers.1.self_attn.v_proj": LoraTarget(2, 0.25),
                "model.layers.2.mlp.down_proj": LoraTarget(5, -1.5),
            },
        )
    },
}


@pytest.mark.parametrize("name", SPECS)
def test_fused_weights_are_those_that_peft_merges(name: str, base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "a", find(str(base)), **SPECS[name])
    result = fuse(str(base), tmp_path / "a", tmp_path / "fused", check=False)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "a").eval()
    with torch.no_grad():
        adapted = model(TOKENS).logits
    expected = model.merge_and_unload().state_dict()
    found = load_file(tmp_path / "fused/model.safetensors")
    original = load_file(base / "model.safetensors")
    assert found.keys() == original.keys()
    changed = [key for key in found if not torch.equal(found[key], original[key])]
    assert len(changed) == result.tensors
    for key, tensor in found.items():
        # both in float32, multiplied in another order: a few units of 2⁻²⁴ of the summands
        assert torch.allclose(tensor, expected[key], rtol=1e-5, atol=1e-5)
    # the same rounding once more through three layers
    assert torch.allclose(logits(tmp_path / "fused"), adapted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_base_with_adapter_and_the_fused_folder_agree_in_the_engine(architecture: str, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", architecture)
    save_adapter(tmp_path / "a", find(str(base)), kind="dora")
    result = fuse(str(base), tmp_path / "a", tmp_path / "fused")
    agreement = result.agreement
    assert agreement is not None
    assert agreement.difference < 1e-4 < agreement.tolerance
    assert agreement.effect is not None
    assert agreement.effect > 0.1
    assert result.notices == ()
    assert find(str(tmp_path / "fused")).architecture == architecture
    assert torch.isfinite(logits(tmp_path / "fused")).all()


def test_the_check_tells_another_adapter_from_this_one(base: Path, adapter: Path, tmp_path: Path) -> None:
    files = find(str(base))
    fuse(str(base), adapter, tmp_path / "fused", check=False)
    spec, tensors = read_adapter(adapter, files)
    fused = find(str(tmp_path / "fused"))
    right = compare(files, spec, tensors, fused, stored="float32")
    assert right.difference <= right.tolerance
    tensors["model.layers.1.mlp.up_proj.lora_B.weight"] *= 1.5
    wrong = compare(files, spec, tensors, fused, stored="float32")
    assert wrong.difference > wrong.tolerance


def test_the_check_is_done_by_the_engine_and_on_the_device_asked_for(base: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="device 'gpu' is not known: use cpu, cuda"):
        fuse(str(base), adapter, tmp_path / "fused", engine="torch", device="gpu")
    with pytest.raises(RecipeError, match="device 'gpu' is not known"):
        fuse(str(base), adapter, tmp_path / "fused", dtype="bfloat16", engine="torch", device="gpu")
    assert not (tmp_path / "fused").exists()
    pytest.importorskip("mlx.core", reason="mlx is not installed")
    with pytest.raises(RecipeError, match="device 'cuda' is not known to the MLX engine"):
        fuse(str(base), adapter, tmp_path / "fused", engine="mlx", device="cuda")
    agreement = fuse(str(base), adapter, tmp_path / "fused", engine="mlx", device="cpu").agreement
    assert agreement is not None
    assert agreement.difference <= agreement.tolerance


def test_a_fused_model_that_says_something_else_is_not_kept(adapter: Path, base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] *= 1e-9  # nothing is left of it in float16
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="not written, because the fused model's logits differ"):
        fuse(str(folder), adapter, tmp_path / "fused", dtype="float16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]
    assert fuse(str(folder), adapter, tmp_path / "fused", dtype="float32").dtype == "float32"


def test_an_adapter_that_drowns_in_the_rounding_is_said_to(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "base", "llama", dtype=torch.bfloat16)
    save_adapter(tmp_path / "a", find(str(folder)), scale=1e-4)
    result = fuse(str(folder), tmp_path / "a", tmp_path / "fused")
    assert len(result.notices) == 1
    assert "rounding to bfloat16 changes the logits about as much as the adapter does" in result.notices[0]


def test_bfloat16_weights_are_rounded_once_from_float32(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "base", "llama", dtype=torch.bfloat16)
    files = find(str(folder))
    save_adapter(tmp_path / "a", files)
    spec, tensors = read_adapter(tmp_path / "a", files)
    assert fuse(str(folder), tmp_path / "a", tmp_path / "fused", check=False).dtype == "bfloat16"
    fused = find(str(tmp_path / "fused"))
    for path, target in spec.targets.items():
        exact = read_tensor(files.tensors[f"{path}.weight"]).astype(np.float64)
        exact += target.scale * tensors[f"{path}.lora_B.weight"].astype(float) @ tensors[f"{path}.lora_A.weight"]
        found = read_tensor(fused.tensors[f"{path}.weight"])
        assert found.dtype == ml_dtypes.bfloat16
        # half a unit in the last of bfloat16's 8 bits, and a little for float32 before it
        assert (np.abs(found.astype(np.float64) - exact) <= np.abs(exact) * 2**-8 * 1.001 + 1e-6).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_another_dtype_is_written_to_weights_and_config(dtype: Any, base: Path, adapter: Path, tmp_path: Path) -> None:
    result = fuse(str(base), adapter, tmp_path / "fused", dtype=dtype)
    assert result.dtype == dtype
    assert {str(tensor.dtype) for tensor in load_file(tmp_path / "fused/model.safetensors").values()} == {
        f"torch.{dtype}"
    }
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "fused").dtype == getattr(torch, dtype)


def test_weights_too_large_for_the_dtype_are_named_and_nothing_is_left(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "a", find(str(base)), scale=1e6)
    with pytest.raises(ModelError, match=r"model\.layers\.\d.*do not fit into float16"):
        fuse(str(base), tmp_path / "a", tmp_path / "fused", dtype="float16", check=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_an_adapter_whose_training_diverged_is_named_and_nothing_is_left(base: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "a", find(str(base)))
    tensors = load_file(tmp_path / "a/adapter_model.safetensors")
    tensors["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"][3, 2] = torch.nan
    save_file(tensors, tmp_path / "a/adapter_model.safetensors", {"format": "pt"})
    message = r"model\.layers\.1\.mlp\.up_proj\.weight: the fused weights are infinite or not a number"
    with pytest.raises(ModelError, match=message):
        fuse(str(base), tmp_path / "a", tmp_path / "fused", check=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_the_shards_are_those_of_the_base_with_a_fresh_index(base: Path, adapter: Path, tmp_path: Path) -> None:
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path / "shards", max_shard_size="25KB")
    (tmp_path / "shards/consolidated.safetensors").write_bytes(b"left alone")
    fuse(str(tmp_path / "shards"), adapter, tmp_path / "fused")
    index = "model.safetensors.index.json"
    before, after = (json.loads((tmp_path / name / index).read_text()) for name in ("shards", "fused"))
    assert after["weight_map"] == before["weight_map"]
    assert after["metadata"]["total_size"] == before["metadata"]["total_size"]
    assert not (tmp_path / "fused/consolidated.safetensors").exists()
    fuse(str(base), adapter, tmp_path / "single", check=False)
    assert torch.equal(logits(tmp_path / "fused"), logits(tmp_path / "single"))


def test_with_tied_embeddings_no_head_is_invented(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "qwen2")
    save_adapter(tmp_path / "a", find(str(base)))
    fuse(str(base), tmp_path / "a", tmp_path / "fused")
    assert "lm_head.weight" not in load_file(tmp_path / "fused/model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "fused")
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize("head_is_stored_too", [False, True])
def test_full_fine_tuning_of_tied_embeddings_keeps_the_tie(head_is_stored_too: bool, tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base", "qwen2")
    if head_is_stored_too:
        tensors = load_file(base / "model.safetensors")
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        save_file(tensors, base / "model.safetensors", {"format": "pt"})
    files = find(str(base))
    spec = save_adapter(tmp_path / "a", files, kind="full")
    trained = read_adapter(tmp_path / "a", files)[1]
    result = fuse(str(base), tmp_path / "a", tmp_path / "fused")
    assert result.tensors == len(spec.weights)
    assert result.agreement is not None
    assert result.agreement.effect is None
    found = load_file(tmp_path / "fused/model.safetensors")
    for name in spec.weights:
        assert np.array_equal(found[name].numpy(), trained[name])
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "fused")
    embedding = torch.from_numpy(trained["model.embed_tokens.weight"])
    assert torch.equal(model.lm_head.weight, embedding)
    assert torch.equal(model.model.embed_tokens.weight, embedding)


def test_everything_that_belongs_to_the_model_comes_along_and_nothing_else(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    along = {
        "generation_config.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "merges.txt",
        "chat_template.jinja",
        "additional_chat_templates/tool.jinja",
        "LICENSE",
        "NOTICE.txt",
        "USE_POLICY.md",
    }
    left = {"pytorch_model.bin", "modeling_custom.py", "training_args.bin", "adapter_config.json", "optimizer.pt"}
    for name in along | left:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{{}} {name}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# The base\n")
    fuse(str(folder), adapter, tmp_path / "fused", check=False)
    found = {str(path.relative_to(tmp_path / "fused")) for path in (tmp_path / "fused").rglob("*") if path.is_file()}
    assert found == along | {"config.json", "README.md", "model.safetensors"}
    assert all((tmp_path / "fused" / name).read_bytes() == (folder / name).read_bytes() for name in along)


def test_the_model_card_says_what_the_model_was_made_of_and_no_path(base: Path, adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nwidget: [1]\n---\n# The base\n")
    fuse(str(folder), adapter, tmp_path / "my-model", check=False)
    card = (tmp_path / "my-model/README.md").read_text()
    metadata, text = card.removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(metadata) == {
        "library_name": "transformers",
        "license": "apache-2.0",
        "pipeline_tag": "text-generation",
        "tags": ["myna"],
    }
    assert "# my-model" in text
    assert "| Rank | 4 |" in text
    assert "| Scale | 2 |" in text
    assert "| Data | wikisql |" in text
    assert r"| Text | a\|b c |" in text
    assert "| Decoder layers | 3 (0 to 2) |" in text
    assert str(tmp_path) not in card


BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 20)}]}}\n" for level in range(1, 13)
)


@pytest.mark.parametrize(
    "readme",
    [
        "no metadata",
        "---\nlicense: [unclosed\n---\n",
        "---\n- list\n---\n",
        "---\nx",
        pytest.param(f"---\n{BOMB}license: mit\n---\n", id="merge keys"),
        pytest.param(f"---\nlicense: {'[' * 100_000}\n---\n", id="brackets"),
    ],
)
def test_a_base_card_that_cannot_be_read_does_no_harm(readme: str, base: Path, adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / "README.md").write_text(readme)
    fuse(str(folder), adapter, tmp_path / "fused", check=False)
    assert "license" not in (tmp_path / "fused/README.md").read_text().split("---")[1]


def test_an_existing_folder_is_never_overwritten_but_an_empty_one_is_used(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    output = tmp_path / "fused"
    output.mkdir()
    (output / "precious").write_text("mine")
    with pytest.raises(ModelError, match="exists already"):
        fuse(str(base), adapter, output)
    assert [path.name for path in output.iterdir()] == ["precious"]
    (output / "precious").unlink()
    fuse(str(base), adapter, output, check=False)
    assert (output / "model.safetensors").exists()
    with pytest.raises(ModelError, match="exists already"):
        fuse(str(base), adapter, output / "config.json")
    with pytest.raises(ModelError, match=r"config\.json is not a folder that you may write to"):
        fuse(str(base), adapter, output / "config.json" / "deeper" / "fused")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is writable for root")
def test_a_read_only_place_is_refused_before_anything_is_computed(base: Path, adapter: Path, tmp_path: Path) -> None:
    place = tmp_path / "read-only"
    place.mkdir(mode=0o555)
    with pytest.raises(ModelError, match="read-only is not a folder that you may write to"):
        fuse(str(base), adapter, place / "fused")


def test_an_adapter_of_another_model_or_base_is_told(base: Path, adapter: Path, tmp_path: Path) -> None:
    shallow = save_tiny(tmp_path / "shallow", "llama", num_hidden_layers=2)
    with pytest.raises(AdapterError, match="made for another base model"):
        fuse(str(shallow), adapter, tmp_path / "fused")
    sibling = save_tiny(tmp_path / "sibling", "llama", seed=1)
    result = fuse(str(sibling), adapter, tmp_path / "fused", check=False)
    assert result.notices == ("the adapter was trained on base with other weights or settings than sibling has",)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    path = "model.safetensors"
    folder = shutil.copytree(base, tmp_path / "base")
    # a sparse file: its header promises far more than any disk here has free, however much others free meanwhile
    rows = 4 * shutil.disk_usage(tmp_path).total // 1024
    tensors = {"huge.weight": {"dtype": "F32", "shape": [rows, 256], "data_offsets": [0, rows * 1024]}}
    whole = load_file(folder / path)
    position = rows * 1024
    for name, tensor in whole.items():
        end = position + tensor.numel() * 4
        tensors[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(tensors).encode()
    with (folder / path).open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + position)
    with pytest.raises(ResourceError, match="GB are free"):
        fuse(str(folder), adapter, tmp_path / "fused", check=False)
    assert not (tmp_path / "fused").exists()


# Linux hands the peak of the process that starts another down to it in ru_maxrss; VmHWM belongs to the process alone
MEASURE = """
import json, pathlib, re, sys
from myna.exporting import fuse
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
before = peak()
fuse(sys.argv[1], sys.argv[2], sys.argv[3], check=False)
print(json.dumps([peak() - before, "torch" in sys.modules]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_fusing_needs_far_less_memory_than_two_shards_and_a_layer(tmp_path: Path) -> None:
    size = {"hidden_size": 512, "intermediate_size": 2048, "vocab_size": 16_000, "num_hidden_layers": 4}
    whole = save_tiny(tmp_path / "whole", "llama", **size)
    AutoModelForCausalLM.from_pretrained(whole).save_pretrained(tmp_path / "base", max_shard_size="40MB")
    files = find(str(tmp_path / "base"))
    save_adapter(tmp_path / "a", files, rank=8)
    arguments = [str(tmp_path / name) for name in ("base", "a", "fused")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
    grown, torch_was_imported = json.loads(done.stdout)
    shard = max(file.stat().st_size for file in files.shards)
    layer = sum(info.bytes for name, info in files.tensors.items() if name.startswith("model.layers.0."))
    assert len(files.shards) >= 3
    assert grown <= 2 * shard + layer  # what was promised
    # what it should be: a chunk six times over, the adapter, and the numerical library's own buffers
    assert 0 < grown <= 6 * (4 << 20) + (12 << 20) < shard
    assert not torch_was_imported


def test_fusing_imports_no_heavy_library_before_it_is_used() -> None:
    program = "import sys, myna.exporting; print(sorted({'torch', 'transformers', 'safetensors'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert TINY["num_hidden_layers"] == 3  # the figures above count on it
