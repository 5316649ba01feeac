"""A model as Mistral publishes it itself: `params.json`, `consolidated.*`, `tokenizer.model`, in a folder or a `.tar`.

In: a path. Out: which bytes of which file are what. An archive is read where it lies and never unpacked, so that
nothing in it can end up anywhere; all the same, one with links or with paths out of itself is no release and is
refused.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from myna.errors import ModelError
from myna.models.tensors import TensorInfo, read_header

PARAMS = "params.json"
_WEIGHTS = re.compile(r"consolidated(\.\d+|-\d+-of-\d+)?\.(?P<kind>safetensors|pth)")
_TOKENIZER = re.compile(r"tokenizer\.model(\.v(?P<version>\d+))?")
_MAX_PARAMS_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start … stop-1` of `file`, which are the file `name` of the release."""

    name: str
    file: Path
    start: int
    stop: int

    def read(self) -> bytes:
        """Return the content."""
        with self.file.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Release:
    """What a release consists of.

    path: as given. folder: where its files lie beside others, None in an archive. weights: one `.pth`, or one or more
    `.safetensors`. tokenizer: a SentencePiece model, None when there is none.
    """

    path: Path
    folder: Path | None
    params: Mapping[str, Any]
    params_file: Path
    weights: tuple[Part, ...]
    tokenizer: Part | None

    @property
    def pickled(self) -> bool:
        """Whether the weights are a checkpoint of torch."""
        return self.weights[0].name.endswith(".pth")


def is_release(path: Path) -> bool:
    """Tell whether `path` looks like a release: a `.tar`, or a folder with `params.json` and `consolidated` weights.

    A folder that has weights in Hugging Face's layout as well is none: those are to be used. The file of weights
    stands for its folder.
    """
    if path.is_file():
        return path.suffix == ".tar" or _WEIGHTS.fullmatch(path.name) is not None or tarfile.is_tarfile(path)
    weights = {file.name for pattern in ("*.safetensors", "consolidated*") for file in path.glob(pattern)}
    return (path / PARAMS).is_file() and bool(weights) and all(_WEIGHTS.fullmatch(name) for name in weights)


def open_release(path: Path) -> Release:
    """Find the parts of a release. Raises `ModelError` when one is missing, there twice, or the archive is unsafe."""
    try:
        parts, params_file, folder = _parts(path.parent if _WEIGHTS.fullmatch(path.name) else path)
        by_name = {part.name: part for part in parts}
        return Release(
            path,
            folder,
            params=_params(params_file, by_name[PARAMS]),
            params_file=params_file,
            weights=_weights(path, by_name),
            tokenizer=_tokenizer(by_name),
        )
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror or error})") from error


def safetensors_in(release: Release) -> dict[str, TensorInfo]:
    """Return where the tensors of a release with safetensors lie."""
    found: dict[str, TensorInfo] = {}
    for part in release.weights:
        header = read_header(part.file, start=part.start, stop=part.stop)
        if twice := found.keys() & header.keys():
            raise ModelError(f"{release.path}: tensor {min(twice)!r} is in two of the files of weights")
        found |= header
    return found


def _parts(path: Path) -> tuple[list[Part], Path, Path | None]:
    """Return the files beside `params.json`, a name for that one in messages, and the folder if it is one."""
    if path.is_dir():
        if not (path / PARAMS).is_file():
            raise ModelError(f"{path}: no {PARAMS} beside the weights; copy the release's other files too")
        files = [file for file in sorted(path.iterdir()) if file.is_file()]
        return [Part(file.name, file, 0, file.stat().st_size) for file in files], path / PARAMS, path
    members = _members(path)
    places = [PurePosixPath(member.name) for member in members]
    homes = [place.parent for place in places if place.name == PARAMS]
    if len(homes) != 1:
        raise ModelError(
            f"{path}: holds {len(homes) or 'no'} {PARAMS}; expected one of Mistral's releases, with {PARAMS}, "
            "consolidated.00.pth and tokenizer.model"
        )
    parts = [
        Part(place.name, path, member.offset_data, member.offset_data + member.size)
        for member, place in zip(members, places, strict=True)
        if place.parent == homes[0]
    ]
    return parts, path / homes[0] / PARAMS, None


def _members(path: Path) -> list[tarfile.TarInfo]:
    """Return the plain files in an archive that holds nothing else than such and folders."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
    except tarfile.ReadError as error:
        compressed = _is_compressed(path)
        why = "compressed; unpack it first (gunzip, xz -d)" if compressed else f"no .tar, or cut off ({error})"
        raise ModelError(f"{path}: {why}{'' if compressed else '; download it again'}") from error
    for member in members:
        place = PurePosixPath(member.name)
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"{path}: {member.name!r} points out of the archive, so this is no release of Mistral's")
        if not (member.isdir() or member.isreg()) or member.issparse():
            raise ModelError(f"{path}: {member.name!r} is no plain file, so this is no release of Mistral's")
    return [member for member in members if member.isreg()]


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as opened:
        return opened.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))


def _params(file: Path, part: Part) -> Mapping[str, Any]:
    if part.stop - part.start > _MAX_PARAMS_BYTES:
        raise ModelError(f"{file}: {part.stop - part.start} bytes are too many for a list of parameters")
    try:
        content = json.loads(part.read().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not valid JSON ({error}); download or copy it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: holds no JSON object")
    return content


def _weights(path: Path, by_name: Mapping[str, Part]) -> tuple[Part, ...]:
    matches = [match for name in by_name if (match := _WEIGHTS.fullmatch(name))]
    for kind in ("safetensors", "pth"):
        parts = tuple(by_name[match.string] for match in matches if match["kind"] == kind)
        if kind == "pth" and len(parts) > 1:
            raise ModelError(
                f"{path}: its weights are cut into {len(parts)} parts for as many GPUs "
                f"({', '.join(part.name for part in parts[:3])} …), which is not supported; take its Hugging Face files"
            )
        if parts:
            return parts
    raise ModelError(f"{path}: no weights (consolidated.00.pth or consolidated.safetensors) beside {PARAMS}")


def _tokenizer(by_name: Mapping[str, Part]) -> Part | None:
    """Return the newest SentencePiece model."""
    matches = [match for name in by_name if (match := _TOKENIZER.fullmatch(name))]
    newest: Iterable[re.Match[str]] = sorted(matches, key=lambda match: int(match["version"] or 0))
    return next((by_name[match.string] for match in reversed(list(newest))), None)
