"""Hugging Face and MLX folders of each other: there and back changes no bit, and both libraries compute the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from myna.errors import ModelError, ResourceError
from myna.exporting import convert
from myna.models.files import find, read_tensor
from myna.models.quantization import Packing, dequantize, quantize
from tiny_models import ARCHITECTURES, save_tiny

SHORT = [5, 17, 3, 80]  # within every window: mlx-lm leaves out the windows of some architectures
UNUSUAL = {
    "gemma3_text": {
        "hidden_size": 64,  # mlx-lm rounds its root, which scales embeddings, to bfloat16: of 64 it is exact
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 70000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 3000.0},
        },
    },
    "llama": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 60000.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
}
"""Rotary embeddings that no library takes by default, so that losing them shows."""
OTHERS = {"rope_parameters": {"rope_type": "default", "rope_theta": 70000.0}}


def model(folder: Path, architecture: str, **changes: Any) -> Path:
    return save_tiny(folder, architecture, **{**UNUSUAL.get(architecture, OTHERS), **changes})


def file_format(folder: Path) -> str:
    with safe_open(folder / "model.safetensors", "numpy") as opened:
        return str(opened.metadata()["format"])


def same_tensors(a: Path, b: Path) -> bool:
    first, second = find(str(a)), find(str(b))
    return first.tensors.keys() == second.tensors.keys() and all(
        info.dtype == second.tensors[name].dtype
        and read_tensor(info).tobytes() == read_tensor(second.tensors[name]).tobytes()
        for name, info in first.tensors.items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_there_and_back_changes_no_bit(architecture: str, dtype: torch.dtype, tmp_path: Path) -> None:
    start = model(tmp_path / "hf", architecture, dtype=dtype)
    there = convert(start, tmp_path / "mlx", to="mlx")
    back = convert(tmp_path / "mlx", tmp_path / "again", to="huggingface")
    assert (there.source, back.source) == ("huggingface", "mlx")
    assert same_tensors(start, tmp_path / "again")
    assert (file_format(tmp_path / "mlx"), file_format(tmp_path / "again")) == ("mlx", "pt")
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (start, tmp_path / "again"))
    assert after == before


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mlx_lm_computes_what_transformers_computes(architecture: str, tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed")
    load_model = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed").load_model
    start = model(tmp_path / "hf", architecture)
    convert(start, tmp_path / "mlx", to="mlx")
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(start).eval()(torch.tensor([SHORT])).logits.numpy()
    found = np.array(load_model(tmp_path / "mlx")[0](mx.array([SHORT])))
    # two libraries sum in different orders: float32's 6e-8, over a few thousand products and three layers
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("architecture", "told"), [("mistral", True), ("gemma2", True), ("llama", False)])
def test_windows_that_mlx_lm_leaves_out_are_told(architecture: str, told: bool, tmp_path: Path) -> None:
    result = convert(model(tmp_path / "hf", architecture), tmp_path / "mlx", to="mlx")
    assert any("mlx-lm attends to everything" in notice for notice in result.notices) == told


def test_a_folder_that_mlx_lm_converted_itself_comes_back(tmp_path: Path) -> None:
    mlx_convert = pytest.importorskip("mlx_lm.convert", reason="mlx-lm is not installed").convert
    start = save_tiny(tmp_path / "hf", "qwen2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(__file__).parents[2] / "examples/stories260K" / name, start)
    mlx_convert(str(start), str(tmp_path / "mlx"))
    convert(tmp_path / "mlx", tmp_path / "again", to="huggingface")
    assert same_tensors(start, tmp_path / "again")
    tokens = torch.tensor([SHORT])
    with torch.no_grad():
        first, second = (AutoModelForCausalLM.from_pretrained(p)(tokens).logits for p in (start, tmp_path / "again"))
    assert torch.equal(first, second)


def packed_folder(folder: Path, packing: Packing) -> dict[str, np.ndarray]:
    """Make a folder's matrices packed ones, its words and scales in different files; return what they mean."""
    start = save_tiny(folder, "llama", hidden_size=64, intermediate_size=64)
    arrays, meant = load_file(start / "model.safetensors"), {}
    packed: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            packed[name] = meant[name] = array
            continue
        path = name.removesuffix(".weight")
        words, scales, biases = quantize(array, packing)
        packed |= {name: words, f"{path}.scales": scales, f"{path}.biases": biases}
        meant[name] = dequantize(words, scales, biases, packing)
    (start / "model.safetensors").unlink()
    scales_only = {name: array for name, array in packed.items() if name.endswith(".scales")}
    rest = {name: array for name, array in packed.items() if name not in scales_only}
    save_file(rest, start / "model-00001-of-00002.safetensors", metadata={"format": "mlx"})
    save_file(scales_only, start / "model-00002-of-00002.safetensors", metadata={"format": "mlx"})
    config = json.loads((start / "config.json").read_text())
    settings = {"bits": packing.bits, "group_size": packing.group_size}
    (start / "config.json").write_text(
        json.dumps({**config, "quantization": settings, "quantization_config": settings})
    )
    return meant


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_packed_weights_are_unpacked_for_transformers(bits: int, tmp_path: Path) -> None:
    meant = packed_folder(tmp_path / "mlx", Packing(bits, 32))
    result = convert(tmp_path / "mlx", tmp_path / "hf", to="huggingface")
    assert result.source == "mlx"
    found = load_file(tmp_path / "hf/model.safetensors")
    assert found.keys() == meant.keys()
    assert all(np.array_equal(found[name], meant[name]) for name in meant)
    assert not {"quantization", "quantization_config"} & json.loads((tmp_path / "hf/config.json").read_text()).keys()
    AutoModelForCausalLM.from_pretrained(tmp_path / "hf")(torch.tensor([SHORT]))


def test_packed_weights_stay_in_mlx(tmp_path: Path) -> None:
    packed_folder(tmp_path / "mlx", Packing(4, 32))
    with pytest.raises(ModelError, match="convert it to huggingface first, which unpacks them"):
        convert(tmp_path / "mlx", tmp_path / "other", to="mlx", dtype="bfloat16")


def test_a_copied_head_is_left_out_for_mlx_where_it_is_tied(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "qwen2")
    arrays = load_file(start / "model.safetensors")
    head = {"lm_head.weight": arrays["model.embed_tokens.weight"].copy()}
    save_file({**arrays, **head}, start / "model.safetensors", metadata={"format": "pt"})
    convert(start, tmp_path / "mlx", to="mlx")
    assert find(str(tmp_path / "mlx")).tensors.keys() == arrays.keys()


def test_the_dtype_changes_weights_and_configuration(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "llama")
    convert(start, tmp_path / "half", to="huggingface", dtype="bfloat16")
    files = find(str(tmp_path / "half"))
    assert {info.dtype for info in files.tensors.values()} == {"BF16"}
    assert files.config["dtype"] == "bfloat16"
    expected = torch.from_numpy(read_tensor(find(str(start)).tensors["lm_head.weight"])).bfloat16()
    assert read_tensor(files.tensors["lm_head.weight"]).tobytes() == expected.view(torch.int16).numpy().tobytes()


def test_numbers_too_large_for_the_dtype_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "llama")
    arrays = load_file(start / "model.safetensors")
    arrays["model.norm.weight"][3] = 1e6
    save_file(arrays, start / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight: its numbers do not fit into float16"):
        convert(start, tmp_path / "half", to="mlx", dtype="float16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf"]


def test_shards_tokenizer_and_licence_come_along(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "one", "llama")
    AutoModelForCausalLM.from_pretrained(start).save_pretrained(tmp_path / "hf", max_shard_size="25KB")
    for name in ("tokenizer.json", "LICENSE", "chat_template.jinja", "myna.json"):
        (tmp_path / "hf" / name).write_text(f"the {name}")
    (tmp_path / "hf/pytorch_model.bin").write_bytes(b"not to be copied")
    convert(tmp_path / "hf", tmp_path / "mlx", to="mlx")
    names = {path.name for path in (tmp_path / "hf").iterdir()} - {"pytorch_model.bin"}
    assert {path.name for path in (tmp_path / "mlx").iterdir()} == names
    assert same_tensors(tmp_path / "hf", tmp_path / "mlx")


# --- bad input


def test_what_can_not_be_converted_is_said_before_anything_is_written(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "llama")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note.txt").write_text("mine")
    config = json.loads((start / "config.json").read_text())
    foreign = shutil.copytree(start, tmp_path / "foreign")
    (foreign / "config.json").write_text(json.dumps({**config, "model_type": "mamba2"}))
    gptq = shutil.copytree(start, tmp_path / "gptq")
    (gptq / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    for source, output, settings, message in (
        (start, "full", {"to": "mlx"}, "full: exists already"),
        (start, "x", {"to": "huggingface"}, "in this layout already; give a dtype"),
        (start, "x", {"to": "peft"}, "no adapter; a model is converted to huggingface or mlx"),
        (start, "x", {"to": "mlx", "model": "starter"}, "so it has no base model"),
        (foreign, "x", {"to": "mlx"}, r"architecture 'mamba2' is not supported here \(supported: llama, "),
        (gptq, "x", {"to": "mlx"}, "GPTQ"),
        (tmp_path / "nothing", "x", {"to": "mlx"}, "no such folder"),
    ):
        with pytest.raises(ModelError, match=message):
            convert(source, tmp_path / output, **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]


def test_a_half_downloaded_folder_is_refused(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "one", "llama")
    AutoModelForCausalLM.from_pretrained(start).save_pretrained(tmp_path / "hf", max_shard_size="25KB")
    shards = sorted((tmp_path / "hf").glob("model-*.safetensors"))
    content = shards[1].read_bytes()
    shards[1].unlink()
    with pytest.raises(ModelError, match=f"1 of {len(shards)} shards missing: {shards[1].name}"):
        convert(tmp_path / "hf", tmp_path / "mlx", to="mlx")
    shards[1].write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=f"{shards[1].name}: cut off"):
        convert(tmp_path / "hf", tmp_path / "mlx", to="mlx")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    shards[1].write_text(pointer)
    with pytest.raises(ModelError, match=f"{shards[1].name}: not the weights but Git's pointer to them; run `git lfs"):
        convert(tmp_path / "hf", tmp_path / "mlx", to="mlx")
    assert not (tmp_path / "mlx").exists()


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "llama")
    elements = shutil.disk_usage(tmp_path).total  # four bytes each: more than the disk can have free
    entry = {"dtype": "F32", "shape": [elements], "data_offsets": [0, 4 * elements]}
    text = json.dumps({"huge.weight": entry}).encode()
    (start / "model.safetensors").rename(start / "model-00001-of-00002.safetensors")
    with (start / "model-00002-of-00002.safetensors").open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + 4 * elements)  # sparse: takes no room
    with pytest.raises(ResourceError, match="GB are free; make room"):
        convert(start, tmp_path / "mlx", to="mlx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf"]


LIMITED = """
import resource, signal, sys
from myna.errors import MynaError
from myna.exporting import convert
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    convert(sys.argv[1], sys.argv[2], to="mlx")
except MynaError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit to a file's size")
def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "hf", "llama")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(start), str(tmp_path / "mlx")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout.startswith("ResourceError")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf"]


# Linux hands the peak of the process that starts another down to it in ru_maxrss; VmHWM belongs to the process alone
MEASURE = """
import json, pathlib, re, sys
import torch  # its own memory is none of the conversion's
from myna.exporting import convert
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
convert(sys.argv[1], sys.argv[3] + "-small", to="mlx")
before = peak()
convert(sys.argv[2], sys.argv[3], to="mlx")
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's peak memory")
def test_converting_takes_a_few_megabytes_whatever_the_model_weighs(tmp_path: Path) -> None:
    small = save_tiny(tmp_path / "small", "llama")
    large = save_tiny(tmp_path / "large", "llama", vocab_size=20_000, hidden_size=512, intermediate_size=4096)
    weight = (large / "model.safetensors").stat().st_size
    assert weight > 150_000_000
    arguments = [str(small), str(large), str(tmp_path / "mlx")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
    # two chunks of 16 MiB and what the allocator keeps; the largest tensor alone weighs 41 MB
    assert int(done.stdout) < 40_000_000
