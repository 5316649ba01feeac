"""Adapters from elsewhere that would take all memory or forever, or make no sense: each is one clear error."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from safetensors.numpy import save_file

from myna.errors import AdapterError, MynaError, ResourceError
from myna.models import stored
from myna.models.adapters import read_adapter, resolve, write_adapter
from myna.models.files import ModelFiles

UP = "model.layers.0.mlp.up_proj"
PAIR = {f"{UP}.lora_a": np.ones((32, 2), np.float32), f"{UP}.lora_b": np.ones((2, 48), np.float32)}
PEFT = f"base_model.model.{UP}"


def mlx(folder: Path, config: Any, arrays: dict[str, np.ndarray] = PAIR) -> Path:
    save_file(arrays, folder / "adapters.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def peft(folder: Path, changes: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> Path:
    factors = {
        f"{PEFT}.lora_A.weight": np.ones((2, 32), np.float32),
        f"{PEFT}.lora_B.weight": np.ones((48, 2), np.float32),
    }
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "lora_dropout": 0.1, "target_modules": ["up_proj"]}
    save_file(factors if arrays is None else arrays, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")
    return folder


def test_both_layouts_are_read_when_nothing_is_wrong(base: ModelFiles, tmp_path: Path) -> None:
    for folder in (tmp_path / "mlx", tmp_path / "peft"):
        folder.mkdir()
    config = {"fine_tune_type": "lora", "lora_parameters": {"scale": 2, "dropout": 0.1, "rank": 2}}
    first, _ = read_adapter(mlx(tmp_path / "mlx", config), base)
    second, _ = read_adapter(peft(tmp_path / "peft", {}), base)
    assert first == second


NUMBERS = [math.nan, math.inf, -math.inf, 1e308, 10**400, "x", [1], {}, True, None]


@pytest.mark.parametrize("value", NUMBERS, ids=str)
@pytest.mark.parametrize("key", ["r", "lora_alpha", "rank_pattern", "alpha_pattern"])
def test_a_rank_or_alpha_that_is_no_usable_number_is_named(
    key: str, value: Any, base: ModelFiles, tmp_path: Path
) -> None:
    changes = {key: {"up_proj": value} if key.endswith("pattern") else value}
    with pytest.raises(AdapterError, match=rf"adapter_config\.json.* {key}"):
        read_adapter(peft(tmp_path, changes), base)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1, 1.5, -0.1, "x", [1], {}, True, 10**400], ids=str)
def test_a_dropout_that_is_no_probability_is_named(value: Any, base: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json: lora_dropout is"):
        read_adapter(peft(tmp_path, {"lora_dropout": value}), base)
    with pytest.raises(AdapterError, match=r"adapter_config\.json: lora_parameters\.dropout is"):
        read_adapter(mlx(tmp_path, {"lora_parameters": {"scale": 1, "dropout": value}}), base)


@pytest.mark.parametrize("value", NUMBERS, ids=str)
def test_a_scale_that_is_no_usable_number_is_named(value: Any, base: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json: lora_parameters\.scale is"):
        read_adapter(mlx(tmp_path, {"lora_parameters": {"scale": value}}), base)


@pytest.mark.parametrize("scale", [math.nan, math.inf, 1e308])
def test_a_recipes_scale_that_is_no_usable_number_is_refused(scale: float, base: ModelFiles) -> None:
    with pytest.raises(AdapterError, match="expected a rank of 1 or more, a scale"):
        resolve(base, kind="lora", keys=None, num_layers=None, rank=2, scale=scale, dropout=0.0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((0, 32)), np.ones((48, 0))),
        (np.ones((2, 32)), np.ones((48, 3))),
        (np.ones(32), np.ones((48, 2))),
        (np.ones((2, 32)), np.ones(48)),
        (np.ones(()), np.ones(())),
        (np.ones((1, 2, 32)), np.ones((48, 2))),
        (np.ones((2, 31)), np.ones((48, 2))),
        (np.ones((2, 32), np.int64), np.ones((48, 2), np.int64)),
        (np.ones((2, 32), np.bool_), np.ones((48, 2))),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_factors_of_odd_shapes_or_types_are_named(
    a: np.ndarray, b: np.ndarray, base: ModelFiles, tmp_path: Path
) -> None:
    for name, arrays in (
        ("peft", {f"{PEFT}.lora_A.weight": a, f"{PEFT}.lora_B.weight": b}),
        ("mlx", {f"{UP}.lora_a": a.T.copy(), f"{UP}.lora_b": b.T.copy()}),
    ):
        (tmp_path / name).mkdir()
        folder = tmp_path / name
        kept = {key: array if array.dtype.kind in "ib" else array.astype(np.float32) for key, array in arrays.items()}
        written = peft(folder, {}, kept) if name == "peft" else mlx(folder, {"lora_parameters": {"scale": 1}}, kept)
        with pytest.raises(AdapterError, match=r"lora_|rank"):
            read_adapter(written, base)


def test_a_layer_that_is_adapted_under_two_names_is_refused(base: ModelFiles, tmp_path: Path) -> None:
    a, b = np.ones((2, 32), np.float32), np.ones((48, 2), np.float32)
    names = (PEFT, UP)
    arrays = {f"{name}.lora_{part}.weight": array for name in names for part, array in (("A", a), ("B", b))}
    with pytest.raises(AdapterError, match="twice"):
        read_adapter(peft(tmp_path, {}, arrays), base)
    twice = {f"{prefix}{name}": array for prefix in ("", "language_model.") for name, array in PAIR.items()}
    with pytest.raises(AdapterError, match="twice"):
        read_adapter(mlx(tmp_path, {"lora_parameters": {"scale": 1}}, twice), base)


@pytest.mark.parametrize("key", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(
    "pattern",
    [r"(\w+\.?)+x", r"(a|a)*b", r"(.*)*x", ".*.*.*x", "x" * 5_000, "(", "[a", "a)|(b", r"\p{L}", "a{9999999999}"],
)
def test_a_pattern_that_backtracks_or_is_none_is_refused(
    key: str, pattern: str, base: ModelFiles, tmp_path: Path
) -> None:
    with pytest.raises(AdapterError, match=rf"adapter_config\.json: {key} has .*, which is not used"):
        read_adapter(peft(tmp_path, {key: {pattern: 2}}), base)


@pytest.mark.parametrize(
    "pattern",
    [
        "up_proj",
        "mlp.up_proj",
        UP,
        r".*\.up_proj",
        r"^model\.layers\.[0-9]+\.mlp\.up_proj",
        r".*layers\.(0|1)\..*",
        r"layers\.\d+\.mlp\.(gate|up)_proj",
    ],
)
def test_patterns_that_people_write_mean_what_they_mean_in_peft(pattern: str, base: ModelFiles, tmp_path: Path) -> None:
    from peft.utils.other import get_pattern_key

    assert get_pattern_key([pattern], UP) == pattern
    spec, _ = read_adapter(peft(tmp_path, {"r": 99, "rank_pattern": {pattern: 2}, "alpha_pattern": {pattern: 6}}), base)
    assert spec.targets[UP].scale == 3.0


def test_a_flood_of_patterns_is_refused(base: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="rank_pattern has 6000 entries"):
        read_adapter(peft(tmp_path, {"rank_pattern": {f"a{i}": 2 for i in range(6_000)}}), base)


@pytest.mark.parametrize("value", [5, ["a"], {}])
def test_a_base_model_whose_name_is_no_text_is_named(value: Any, base: ModelFiles, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="base_model_name_or_path is"):
        read_adapter(peft(tmp_path, {"base_model_name_or_path": value}), base)
    with pytest.raises(AdapterError, match=r"adapter_config\.json: model is"):
        read_adapter(mlx(tmp_path, {"model": value, "lora_parameters": {"scale": 1}}), base)


def test_an_adapter_larger_than_the_memory_is_refused_unread(
    base: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = 100

    monkeypatch.setattr(stored.psutil, "virtual_memory", Memory)
    with pytest.raises(ResourceError, match="GB of memory"):
        read_adapter(peft(tmp_path, {}), base)


# adapters.npz


def npz(file: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def array_bytes(shape: tuple[int, ...], dtype: str = "<f4", data: bytes = b"") -> bytes:
    opened = io.BytesIO()
    npy.write_array_header_1_0(opened, {"descr": dtype, "fortran_order": False, "shape": shape})
    return opened.getvalue() + data


def pair(folder: Path, save: Callable[..., None]) -> Path:
    save(folder / "adapters.npz", **PAIR)
    return folder


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_that_numpy_writes_are_read(save: Callable[..., None], base: ModelFiles, tmp_path: Path) -> None:
    _, tensors = read_adapter(pair(tmp_path, save), base)
    assert np.array_equal(tensors[f"{UP}.lora_A.weight"], PAIR[f"{UP}.lora_a"].T)
    torch.from_numpy(tensors[f"{UP}.lora_B.weight"])  # warns, which is an error here, when it can't be written to


def test_an_archive_that_unfolds_to_a_hundred_times_its_size_is_not_unpacked(base: ModelFiles, tmp_path: Path) -> None:
    file = tmp_path / "adapters.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in range(5):
            archive.writestr(f"{part}.npy", bytes(2**26))
    assert file.stat().st_size < 2**22
    with pytest.raises(AdapterError, match="would unfold to 335544320"):
        read_adapter(file, base)


@pytest.mark.parametrize(
    "content",
    [
        array_bytes((2**40, 2**20)),
        array_bytes((2**62, 2**62)),
        array_bytes((32, 2), data=bytes(255)),
        array_bytes((32, 2), data=bytes(257)),
        array_bytes((-1, 2)),
        array_bytes((1,) * 20, data=bytes(4)),
        array_bytes((32, 2), "<i8", bytes(512)),
        array_bytes((2,), "<U8", bytes(64)),
        array_bytes((2,), "|O", bytes(16)),
        array_bytes((2, 2), "|V3", bytes(12)),
        b"",
        b"\x93NUMPY\x03\x00" + b"\xff" * 100,
        b"\x93NUMPY\x02\x00" + b"\xff" * 100,
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"no array",
    ],
)
def test_an_array_that_is_not_what_its_header_claims_is_refused(
    content: bytes, base: ModelFiles, tmp_path: Path
) -> None:
    file = npz(tmp_path / "adapters.npz", {f"{UP}.lora_a.npy": content, f"{UP}.lora_b.npy": content})
    with pytest.raises(AdapterError, match=r"not a readable \.npz of plain arrays"):
        read_adapter(file, base)


def test_an_archive_with_a_directory_of_many_megabytes_is_refused(base: ModelFiles, tmp_path: Path) -> None:
    file = npz(tmp_path / "adapters.npz", {f"{number:060000}": b"" for number in range(300)}, zipfile.ZIP_STORED)
    with pytest.raises(AdapterError, match="far more members than an adapter"):
        read_adapter(file, base)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_numpy_does_not_write_is_refused(compression: int, base: ModelFiles, tmp_path: Path) -> None:
    file = npz(tmp_path / "adapters.npz", {f"{UP}.lora_a.npy": array_bytes((1, 1), data=bytes(4))}, compression)
    with pytest.raises(AdapterError, match="compressed in a way"):
        read_adapter(file, base)


def test_no_changed_byte_of_an_archive_is_more_than_an_adapter_error(base: ModelFiles, tmp_path: Path) -> None:
    content = bytearray(pair(tmp_path, np.savez_compressed).joinpath("adapters.npz").read_bytes())
    random = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        for place in random.integers(0, len(changed), int(random.integers(1, 4))):
            changed[place] = int(random.integers(256))
        (tmp_path / "adapters.npz").write_bytes(changed[: int(random.integers(1, len(changed) + 1))])
        with suppress(AdapterError):
            read_adapter(tmp_path, base)


VALUES = [None, True, 0, -1, 1.5, 10**400, math.nan, math.inf, 1e308, "", "x", "a\x1b[31mb", [], [1], {}, {"a": 1}]


def test_no_value_in_an_adapters_configuration_is_more_than_a_clear_error(base: ModelFiles, tmp_path: Path) -> None:
    spec = resolve(base, kind="dora", keys=None, num_layers=2, rank=2, scale=2.0, dropout=0.1)
    from myna.models.adapters import tensor_shapes

    tensors = {name: np.ones(shape, np.float32) for name, shape in tensor_shapes(spec, base).items()}
    write_adapter(tmp_path, spec, tensors, files=base, note={})
    file = tmp_path / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for key in [*config, "fine_tune_type", "lora_parameters", "use_bdlora", "arrow_config"]:
        for value in VALUES:
            file.write_text(json.dumps({**config, key: value}), encoding="utf-8")
            with suppress(MynaError):
                read_adapter(tmp_path, base)
