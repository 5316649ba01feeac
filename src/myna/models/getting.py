"""`get`: a model from the hub, whole and in a layout that can be used or converted.

In: a hub id (or a folder, to check it). Out: the folder and what it holds. Knows huggingface_hub only through `hub`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from myna.models import hub
from myna.models.files import check_folder, expanded, find
from myna.models.mistral_release import is_release, open_release


@dataclass(frozen=True, slots=True)
class GetResult:
    """Where the model lies.

    bytes: of all its files. layout: `mistral` for one that is published in Mistral's own layout only, which
    `myna model convert` makes a Hugging Face folder of.
    """

    model: str
    folder: Path
    bytes: int
    layout: Literal["huggingface", "mistral"]


def get(model: str, *, revision: str | None = None) -> GetResult:
    """Download a model, or what is missing of it, and check that it is whole.

    model: a hub id; of a folder, only the check is done. revision: a branch, a tag or a commit; None the newest. Where
    weights are there in Hugging Face's layout, the same in others (`consolidated*`, `*.pth`) are left out. Raises
    `ModelError` when it can't be had, is damaged, or of an architecture that is not supported (before its weights are
    fetched), and `ResourceError` when the disk is too small.
    """
    path = expanded(model)
    if path.exists() or not hub.is_hub_id(model):
        folder = path
    else:
        folder = hub.download(model, revision=revision, look=lambda fetched: check_folder(model, fetched))
    if folder.is_dir() and is_release(folder):
        open_release(folder)
        layout: Literal["huggingface", "mistral"] = "mistral"
    else:
        folder, layout = find(str(folder)).folder, "huggingface"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return GetResult(model, folder, size, layout)
