"""Safetensors files: what the reference library writes we read, and the other way round; damage is named."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.torch import save_file

from myna.errors import ModelError
from myna.models.tensors import TensorSource, cast, read_chunks, read_header, read_into, read_tensor, write_tensors

types = st.sampled_from(
    [
        np.float64,
        np.float32,
        np.float16,
        ml_dtypes.bfloat16,
        np.int64,
        np.int32,
        np.uint32,
        np.int8,
        np.uint8,
        np.bool_,
    ]
)
arrays = types.flatmap(
    lambda dtype: hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5).flatmap(
        lambda shape: st.binary(min_size=int(np.prod(shape)) * 8, max_size=int(np.prod(shape)) * 8).map(
            lambda data: np.frombuffer(data, np.int8)[: int(np.prod(shape))].astype(dtype).reshape(shape)
        )
    )
)
named = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"), arrays, max_size=5
)


@settings(deadline=None, max_examples=60)
@given(named)
def test_what_we_write_the_reference_library_reads(tensors: dict[str, np.ndarray]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.safetensors")
        write_tensors(path, tensors)
        read = {}
        with safe_open(path, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a dict)
                read[name] = opened.get_tensor(name)
            assert opened.metadata() == {"format": "pt"}
        assert read.keys() == tensors.keys()
        for name, array in tensors.items():
            found = read[name]
            assert tuple(found.shape) == array.shape
            exact = (
                found.view(torch.int16).numpy()
                if found.dtype == torch.bfloat16 and found.dim()
                else found.double().numpy()
            )
            expected = (
                array.view(np.int16) if array.dtype == ml_dtypes.bfloat16 and array.ndim else array.astype(np.float64)
            )
            assert np.array_equal(exact, expected)


@settings(deadline=None, max_examples=60)
@given(named)
def test_what_the_reference_library_writes_we_read(tensors: dict[str, np.ndarray]) -> None:
    plain = {name: array for name, array in tensors.items() if array.dtype != ml_dtypes.bfloat16}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.safetensors")
        safetensors.numpy.save_file(plain, path, metadata={"who": "reference"})
        infos = read_header(path)
        assert infos.keys() == plain.keys()
        for name, array in plain.items():
            found = read_tensor(infos[name])
            assert found.dtype == array.dtype
            assert found.shape == array.shape
            assert np.array_equal(found, array)


def test_bfloat16_keeps_every_bit(tmp_path: Path) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    save_file({"all": every.view(torch.bfloat16)}, tmp_path / "t.safetensors")
    found = read_tensor(read_header(tmp_path / "t.safetensors")["all"])
    assert found.dtype == ml_dtypes.bfloat16
    assert np.array_equal(found.view(np.int16), every.numpy())


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(0, 9), columns=st.integers(0, 5), chunk_bytes=st.integers(1, 100))
def test_chunks_are_the_tensor_whatever_their_size(rows: int, columns: int, chunk_bytes: int) -> None:
    array = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.safetensors")
        write_tensors(path, {"a": np.ones(3, np.int64), "w": array})
        info = read_header(path)["w"]
        chunks = list(read_chunks(info, chunk_bytes=chunk_bytes))
        assert np.array_equal(np.concatenate(chunks), array)
        assert all(chunk.nbytes <= max(chunk_bytes, 4 * columns) for chunk in chunks)


def test_bytes_go_straight_into_the_callers_memory(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t.safetensors", {"w": np.arange(10, dtype=np.float32)})
    info = read_header(tmp_path / "t.safetensors")["w"]
    buffer = np.full(4, -1, np.float32)
    read_into(info, buffer, offset=3 * 4)
    assert buffer.tolist() == [3, 4, 5, 6]
    with pytest.raises(ValueError, match="40 bytes"):
        read_into(info, buffer, offset=7 * 4)


def test_a_source_is_asked_only_when_its_turn_comes_and_must_add_up(tmp_path: Path) -> None:
    alive: list[str] = []

    def source(name: str, rows: int) -> TensorSource:
        def chunks() -> list[np.ndarray]:
            alive.append(name)
            return [np.full((1, 2), row, np.float32) for row in range(rows)]

        return TensorSource("F32", (3, 2), chunks)

    write_tensors(tmp_path / "t.safetensors", {"b": source("b", 3), "a": source("a", 3)})
    assert alive == ["a", "b"]
    assert read_tensor(read_header(tmp_path / "t.safetensors")["b"]).tolist() == [[0, 0], [1, 1], [2, 2]]
    with pytest.raises(ValueError, match="4 elements"):
        write_tensors(tmp_path / "u.safetensors", {"a": source("a", 2)})


def _file(path: Path, header: Any, data: bytes = b"", *, header_bytes: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((header_bytes if header_bytes is not None else len(text)).to_bytes(8, "little") + text + data)
    return path


def _entry(begin: int, end: int, shape: list[Any] | None = None, dtype: Any = "F32") -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": [(end - begin) // 4] if shape is None else shape,
        "data_offsets": [begin, end],
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"abc"), "only 3 bytes"),
        (lambda path: _file(path, b"{}", header_bytes=10**9), "more than the limit of"),
        (
            lambda path: _file(path, b"{}", header_bytes=50),
            "cut off: its header needs 58 bytes, the file has 10",
        ),
        (lambda path: _file(path, b"hello   "), "does not begin with"),
        (lambda path: _file(path, b'{"a": '), "not valid JSON"),
        (lambda path: _file(path, b"{" * 200_000), "not valid JSON"),
        (lambda path: _file(path, b'{"a":' + b"[" * 200_000), "not valid JSON"),
        (lambda path: _file(path, b"{" * 300_000), "describes more than 250000 tensors"),
        (lambda path: _file(path, b'{"a":' + b"{}," * 300_000), "describes more than 250000 tensors"),
        (lambda path: _file(path, b"", header_bytes=100_000_000), "more than the limit of"),
        (lambda path: _file(path, {"n" * 501: _entry(0, 8)}, bytes(8)), "name has 501 characters"),
        (lambda path: _file(path, {"a": _entry(0, 4, [1] * 9)}, bytes(4)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(0, 8, [2**62, 2**62, 0])}, bytes(8)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(0, 8, [10**4000])}, bytes(8)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(0, 8, [True, 2])}, bytes(8)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(0, 8, [2**40], "F4")}, bytes(8)), "can't take 8 bytes"),
        (lambda path: _file(path, {"a": _entry(0, 0, [1], "?")}), "can't take 0 bytes"),
        (lambda path: _file(path, {"a": [1] * 100_000}, bytes(8)), "'a' lacks"),
        (lambda path: _file(path, b'{"\xff": 1}'), "not valid JSON"),
        (lambda path: _file(path, b'{"a": 1, "a": 2}'), "a key stands twice"),
        (lambda path: _file(path, {"a": {"dtype": "F32"}}, bytes(4)), "'a' lacks"),
        (lambda path: _file(path, {"a": _entry(0, 8, [-2])}, bytes(8)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(8, 0, [2])}, bytes(8)), "'a' has a senseless"),
        (lambda path: _file(path, {"a": _entry(0, 8, [3])}, bytes(8)), "can't take 8 bytes"),
        (lambda path: _file(path, {"a": _entry(0, 8), "b": _entry(4, 12)}, bytes(12)), "'b' overlaps 'a'"),
        (
            lambda path: _file(path, {"a": _entry(0, 8), "b": _entry(12, 16)}, bytes(16)),
            "'b' leaves a gap after 'a'",
        ),
        (lambda path: _file(path, {"a": _entry(4, 8)}, bytes(8)), "gap after 'the header'"),
        (lambda path: _file(path, {"a": _entry(0, 8)}, bytes(7)), "cut off: its header describes"),
        (lambda path: _file(path, {"a": _entry(0, 8)}, bytes(9)), "1 bytes too long"),
        (lambda path: path.mkdir(), "can't be read"),
    ],
)
def test_a_damaged_file_is_named_with_its_damage(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "bad.safetensors"
    damage(path)
    with pytest.raises(ModelError, match=message) as caught:
        read_header(path)
    assert "bad.safetensors" in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_bytes_make_the_reader_fail_otherwise_than_with_a_model_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.safetensors")
        write_tensors(path, {"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.int8)})
        whole = bytearray(path.read_bytes())
        position = data.draw(st.integers(0, len(whole) - 1))
        whole[position] = data.draw(st.integers(0, 255))
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        try:
            for info in read_header(path).values():
                assert read_tensor(info).shape == info.shape
        except ModelError:
            pass


def test_a_file_that_shrinks_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    write_tensors(path, {"w": np.ones(100, np.float32)})
    info = read_header(path)["w"]
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ModelError, match="became shorter"):
        read_tensor(info)


def test_a_type_that_numpy_lacks_is_located_but_not_read(tmp_path: Path) -> None:
    path = _file(tmp_path / "t.safetensors", {"a": _entry(0, 2, [4], "F4")}, bytes(2))
    with pytest.raises(ModelError, match="type F4 can't be read"):
        read_tensor(read_header(path)["a"])


def test_numbers_are_rounded_to_a_type_and_one_too_large_for_it_is_named() -> None:
    numbers = np.array([1 / 3, -2.0, np.inf, np.nan], np.float32)
    assert cast("w", numbers, "F32") is numbers
    for dtype, kind in (("F16", np.float16), ("BF16", ml_dtypes.bfloat16)):
        assert cast("w", numbers, dtype).tobytes() == numbers.astype(kind).tobytes()
    numbers[1] = -65536
    assert cast("w", numbers, "BF16")[1] == -65536
    with pytest.raises(ModelError, match="w: its numbers do not fit into float16; choose a wider type"):
        cast("w", numbers, "F16")
