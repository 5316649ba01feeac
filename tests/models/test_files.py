"""Finding a model: what is accepted, and the one clear sentence for everything else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from myna.errors import ModelError
from myna.models.files import ModelFiles, content_hash, find, read_tensor

STORIES = Path(__file__).parents[2].parent / "shared/data/models/stories260K"


def test_every_tensor_is_found_in_one_file_and_in_shards(base: ModelFiles, shards: Path) -> None:
    sharded = find(str(shards))
    assert len(sharded.shards) > 3
    assert sharded.tensors.keys() == base.tensors.keys()
    for name, info in sharded.tensors.items():
        assert np.array_equal(read_tensor(info), read_tensor(base.tensors[name]))
    assert base.architecture == "llama"


@pytest.mark.skipif(not STORIES.exists(), reason="the shared data is not on this machine")
def test_a_real_checkpoint_is_read_as_the_reference_library_reads_it() -> None:
    files = find(str(STORIES))
    expected = load_file(STORIES / "model.safetensors")
    assert files.tensors.keys() == expected.keys()
    assert all(np.array_equal(read_tensor(files.tensors[name]), expected[name]) for name in expected)


@pytest.mark.parametrize("name", ["consolidated.safetensors", "consolidated-00001-of-00001.safetensors"])
def test_consolidated_weights_beside_the_shards_are_ignored(shards: Path, name: str) -> None:
    save_file({"layers.0.attention.wq.weight": np.zeros((2, 2), np.float32)}, shards / name)
    assert "layers.0.attention.wq.weight" not in find(str(shards)).tensors


def test_consolidated_weights_alone_are_refused(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    with pytest.raises(ModelError, match=r"of weights only consolidated\.safetensors"):
        find(str(folder))


def test_a_single_safetensors_file_may_have_any_name(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "weights.fp32.safetensors")
    assert len(find(str(folder)).tensors) == len(find(str(llama)).tensors)


def test_of_two_oddly_named_files_none_is_guessed(llama: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(llama, tmp_path / "m")
    shutil.copy(folder / "model.safetensors", folder / "a.safetensors")
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    with pytest.raises(ModelError, match=r"several safetensors files and no .*a\.safetensors, b\.safetensors"):
        find(str(folder))


def test_a_complete_set_of_shards_needs_no_index(shards: Path) -> None:
    whole = find(str(shards))
    (shards / "model.safetensors.index.json").unlink()
    assert find(str(shards)).tensors == whole.tensors
    sorted(shards.glob("*.safetensors"))[1].unlink()
    with pytest.raises(ModelError, match=r"1 of \d+ shards missing: numbers \[2\]"):
        find(str(shards))


def _edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _index(folder: Path) -> Path:
    return folder / "model.safetensors.index.json"


def _shard(folder: Path) -> Path:
    return sorted(folder.glob("*.safetensors"))[1]


def _pickles_only(folder: Path, name: str) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / name).write_bytes(b"\x80\x04}.")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "config.json").unlink(), "no config.json"),
        (lambda m: (m / "config.json").write_text("{"), r"config\.json: not valid JSON"),
        (lambda m: (m / "config.json").write_text("[]"), r"config\.json: holds no JSON object"),
        (lambda m: _edit(m / "config.json", lambda c: c.pop("model_type")), 'no "model_type"'),
        (lambda m: _shard(m).unlink(), r"shards missing: model-00002-of"),
        (
            lambda m: _shard(m).write_bytes(_shard(m).read_bytes()[:-100]),
            r"model-00002-of-\d+\.safetensors: cut off",
        ),
        (lambda m: _shard(m).write_bytes(b""), r"model-00002-of-\d+\.safetensors: only 0 bytes"),
        (
            lambda m: _edit(_index(m), lambda i: i["weight_map"].update({"extra.weight": _shard(m).name})),
            "lacks 1 tensors .* 'extra.weight'",
        ),
        (
            lambda m: _edit(_index(m), lambda i: i["weight_map"].pop("model.norm.weight")),
            "does not name, such as 'model.norm.weight'",
        ),
        (lambda m: _edit(_index(m), lambda i: i.pop("weight_map")), 'no "weight_map"'),
        (lambda m: _index(m).write_text("not json"), r"index\.json: not valid JSON"),
        (
            lambda m: _edit(_index(m), lambda i: i["weight_map"].update({"x": "../../other.safetensors"})),
            r"names '../../other.safetensors'",
        ),
        (
            lambda m: _edit(_index(m), lambda i: i["weight_map"].update({"x": "pytorch_model.bin"})),
            "names 'pytorch_",
        ),
        (
            lambda m: _pickles_only(m, "pytorch_model.bin"),
            "only pytorch_model.bin, a pickle.*never unpickled.*convert",
        ),
        (lambda m: _pickles_only(m, "consolidated.00.pth"), "only consolidated.00.pth, a pickle"),
        (lambda m: [path.unlink() for path in m.glob("*.safetensors*")], "no weights"),
    ],
)
def test_a_broken_folder_gets_one_clear_message(shards: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(shards)
    with pytest.raises(ModelError, match=message):
        find(str(shards))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("adapter_config.json", "an adapter, not a model"),
        ("adapters.npz", "an adapter, not a model"),
        ("recipe.yaml", "a run folder, not a model"),
        ("params.json", "params.json, Mistral's own layout; make a Hugging Face folder of it: myna model convert"),
    ],
)
def test_another_kind_of_folder_given_as_the_model_is_recognised(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / file).write_text("{}")
    with pytest.raises(ModelError, match=message):
        find(str(tmp_path))


def test_a_folder_around_the_model_is_pointed_into(llama: Path, tmp_path: Path) -> None:
    shutil.copytree(llama, tmp_path / "inner")
    with pytest.raises(ModelError, match="there is one in inner/"):
        find(str(tmp_path))


@pytest.mark.parametrize("name", ["/no/such/folder", "./missing", "~/missing", "~nobody-here/x", "missing", "a/b/c"])
def test_a_missing_folder_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        find(name)


def test_a_file_given_as_the_model_is_said_to_be_a_file(llama: Path) -> None:
    with pytest.raises(ModelError, match="a file; give the model's folder"):
        find(str(llama / "model.safetensors"))


def test_the_public_name_tells_nothing_about_this_machine(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(str(llama)).public_name == llama.name
    monkeypatch.chdir(llama.parent)
    assert find(f"./{llama.name}").public_name == llama.name
    downloaded = ModelFiles("owner/name", llama, {}, {})
    assert downloaded.public_name == "owner/name"


def test_the_content_hash_tells_models_apart_and_not_their_packaging(
    base: ModelFiles, shards: Path, tmp_path: Path
) -> None:
    original = content_hash(base)
    assert content_hash(find(str(shards))) == original
    _edit(shards / "config.json", lambda config: config.update(transformers_version="0.0.0"))
    assert content_hash(find(str(shards))) == original
    _edit(shards / "config.json", lambda config: config.update(rope_theta=5.0))
    assert content_hash(find(str(shards))) != original

    tensors = load_file(base.folder / "model.safetensors")
    last = tensors["model.layers.2.mlp.down_proj.weight"]
    last[-1, -1] += 1e-3
    folder = shutil.copytree(base.folder, tmp_path / "changed")
    save_file(tensors, folder / "model.safetensors")
    assert content_hash(find(str(folder))) != original


def test_importing_the_room_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'transformers', 'huggingface_hub', 'safetensors', 'peft'}"
    program = f"import sys, myna.models.adapters, myna.models.info; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
