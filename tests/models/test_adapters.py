"""Where adapters are found, and what happens with one that does not fit the base model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from myna.errors import AdapterError
from myna.models.adapters import (
    AdapterSpec,
    initial_tensors,
    read_adapter,
    read_note,
    resolve,
    tensor_shapes,
    write_adapter,
)
from myna.models.files import ModelFiles, find
from tiny_models import save_tiny


@pytest.fixture
def spec(base: ModelFiles) -> AdapterSpec:
    return resolve(base, kind="lora", keys=None, num_layers=-1, rank=4, scale=20.0, dropout=0.0)


@pytest.fixture
def adapter(base: ModelFiles, spec: AdapterSpec, tmp_path: Path) -> Path:
    write_adapter(tmp_path / "a", spec, initial_tensors(spec, base, 0), files=base, note={})
    return tmp_path / "a"


@pytest.mark.parametrize("place", ["run/adapter", "run/checkpoints/000200", "run/checkpoints/000200/adapter"])
def test_a_run_and_a_checkpoint_stand_for_their_adapter(
    place: str, adapter: Path, base: ModelFiles, spec: AdapterSpec, tmp_path: Path
) -> None:
    shutil.copytree(adapter, tmp_path / place)
    (tmp_path / "run/recipe.yaml").write_text("model: x\n")
    given = {"run/adapter": "run", "run/checkpoints/000200/adapter": "run/checkpoints/000200"}.get(place, place)
    assert read_adapter(tmp_path / given, base)[0] == spec
    assert read_note(tmp_path / given)["kind"] == "lora"


def test_the_weights_file_stands_for_its_folder(adapter: Path, base: ModelFiles, spec: AdapterSpec) -> None:
    assert read_adapter(adapter / "adapter_model.safetensors", base)[0] == spec


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "no such adapter folder"),
        ((), "no adapter; expected a run folder, a checkpoint"),
        (("recipe.yaml",), "has no adapter/ yet"),
        (("adapters.safetensors",), "no adapter_config.json beside it"),
    ],
)
def test_a_folder_without_an_adapter_is_said_to_be_one(
    files: tuple[str, ...] | None, message: str, base: ModelFiles, tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    if files is not None:
        folder.mkdir()
        for name in files:
            (folder / name).write_text("{}")
    with pytest.raises(AdapterError, match=message):
        read_adapter(folder, base)


def test_an_adapter_for_a_wider_model_names_layer_and_both_shapes(
    adapter: Path, tmp_path: Path, base: ModelFiles
) -> None:
    wider = find(str(save_tiny(tmp_path / "wider", "llama", hidden_size=64)))
    with pytest.raises(
        AdapterError,
        match=r"model\.layers\.0\.mlp\.down_proj\.lora_B\.weight is 32 × 4, but wider needs 64 × 4; "
        rf"the adapter says it was made for {base.folder.name}",
    ):
        read_adapter(adapter, wider)


def test_an_adapter_for_a_deeper_model_names_the_first_layer_that_is_missing(adapter: Path, tmp_path: Path) -> None:
    shallow = find(str(save_tiny(tmp_path / "shallow", "llama", num_hidden_layers=2)))
    with pytest.raises(
        AdapterError, match=r"adapts model\.layers\.2\.\w+\.\w+, which shallow does not have; .*made for"
    ):
        read_adapter(adapter, shallow)


def test_an_adapter_for_another_architecture_names_the_first_layer_that_is_missing(
    adapter: Path, tmp_path: Path
) -> None:
    fused = find(str(save_tiny(tmp_path / "phi", "phi3")))
    with pytest.raises(AdapterError, match=r"adapts model\.layers\.0\.mlp\.gate_proj, which phi does not have"):
        read_adapter(adapter, fused)


def test_a_layers_prefix_may_differ_between_adapter_and_base(
    adapter: Path, base: ModelFiles, spec: AdapterSpec
) -> None:
    prefixed = replace(base, tensors={f"language_model.{name}": info for name, info in base.tensors.items()})
    found, tensors = read_adapter(adapter, prefixed)
    assert set(found.targets) == {f"language_model.{path}" for path in spec.targets}
    assert all(name.startswith("language_model.model.layers.") for name in tensors)


def test_full_fine_tuning_round_trips_and_a_foreign_tensor_is_named(base: ModelFiles, tmp_path: Path) -> None:
    spec = resolve(base, kind="full", keys=None, num_layers=1, rank=1, scale=1.0, dropout=0.0)
    random = np.random.default_rng(0)
    tensors = {name: random.standard_normal(shape, np.float32) for name, shape in tensor_shapes(spec, base).items()}
    write_adapter(tmp_path / "a", spec, tensors, files=base, note={})
    found, arrays = read_adapter(tmp_path / "a", base)
    assert found == spec
    assert all(np.array_equal(arrays[name], tensors[name]) for name in tensors)
    shallow = find(str(save_tiny(tmp_path / "shallow", "llama", num_hidden_layers=2)))
    with pytest.raises(AdapterError, match=r"shallow has no tensor model\.layers\.2\..*made for"):
        read_adapter(tmp_path / "a", shallow)


def test_only_the_tensors_that_the_spec_trains_are_written(base: ModelFiles, spec: AdapterSpec, tmp_path: Path) -> None:
    tensors = initial_tensors(spec, base, 0)
    name = "model.layers.0.mlp.up_proj.lora_A.weight"
    for changed in ({**tensors, "extra": np.zeros(1, np.float32)}, {**tensors, name: tensors[name][:2]}):
        with pytest.raises(AdapterError, match=r"has shape"):
            write_adapter(tmp_path / "b", spec, changed, files=base, note={})
    del tensors[name]
    with pytest.raises(AdapterError, match=rf"{name} has shape None"):
        write_adapter(tmp_path / "b", spec, tensors, files=base, note={})
    assert not (tmp_path / "b").exists()


def test_the_same_adapter_is_written_in_the_same_bytes(base: ModelFiles, spec: AdapterSpec, tmp_path: Path) -> None:
    tensors = initial_tensors(spec, base, 0)
    for name in ("one", "two"):
        write_adapter(
            tmp_path / name,
            spec,
            dict(reversed(tensors.items())) if name == "two" else tensors,
            files=base,
            note={},
        )
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors", "myna.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_a_note_of_another_program_is_empty(adapter: Path) -> None:
    (adapter / "myna.json").unlink()
    assert read_note(adapter) == {}
    assert json.loads((adapter / "adapter_config.json").read_text())["peft_type"] == "LORA"
