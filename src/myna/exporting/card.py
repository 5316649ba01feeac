"""The model card of a fused model: what it was made from and how, as far as the files tell.

In: the base's files, the adapter and its note. Out: the text of README.md, with the hub's metadata on top
(https://huggingface.co/docs/hub/model-cards). Names no path of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from myna.errors import ModelError
from myna.foreign_text import markdown
from myna.models.adapters import AdapterSpec
from myna.models.files import ModelFiles
from myna.models.layers import layer_index, path_in_layer
from myna.recipe.document import read_document, read_file


def model_card(name: str, files: ModelFiles, spec: AdapterSpec, note: Mapping[str, Any], dtype: str) -> str:
    """Return the text of README.md for the fused model `name`, whose weights are of type `dtype`."""
    metadata: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["myna"]}
    if "/" in files.public_name:  # the hub knows nothing of a local folder's name
        metadata["base_model"] = files.public_name
    licence = _base_metadata(files).get("license")
    if isinstance(licence, str):
        metadata["license"] = licence
    rows = [("Base model", files.public_name), ("Architecture", files.architecture), *_settings(spec)]
    rows += [("Weights", dtype)]
    rows += [(_title(key), str(value)) for key, value in note.items() if _is_worth_telling(key, value)]
    table = "\n".join(f"| {_cell(title)} | {_cell(value)} |" for title, value in rows)
    return (
        f"---\n{yaml.safe_dump(metadata, sort_keys=True, allow_unicode=True)}---\n\n"
        f"# {markdown(name)}\n\n"
        f"{markdown(files.public_name)}, fine-tuned; Myna fused the adapter into the base model, so that any program "
        "that reads the Hugging Face layout can use it.\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        "The licence of the base model applies to these weights too.\n"
    )


def _settings(spec: AdapterSpec) -> list[tuple[str, str]]:
    if spec.kind == "full":
        return [("Fine-tuning", f"full, {len(spec.weights)} tensors")]
    layers = sorted({index for path in spec.targets if (index := layer_index(path)) is not None})
    return [
        ("Fine-tuning", {"lora": "LoRA", "dora": "DoRA"}[spec.kind]),
        ("Rank", ", ".join(map(str, sorted({target.rank for target in spec.targets.values()})))),
        ("Scale", ", ".join(f"{scale:g}" for scale in sorted({target.scale for target in spec.targets.values()}))),
        ("Decoder layers", f"{len(layers)} ({layers[0]} to {layers[-1]})"),
        ("Projections", ", ".join(sorted({path_in_layer(path) for path in spec.targets}))),
    ]


_SAID_ABOVE = frozenset({"kind", "base_model"})


def _is_worth_telling(key: str, value: Any) -> bool:
    return key not in _SAID_ABOVE and isinstance(value, str | int | float) and not isinstance(value, bool)


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _cell(value: str) -> str:
    return markdown(value).replace("|", r"\|")


def _base_metadata(files: ModelFiles) -> Mapping[str, Any]:
    """Return the metadata on top of the base's own card; empty where there is none or it can't be read."""
    card = files.folder / "README.md"
    if not card.is_file():
        return {}
    try:
        parts = read_file(card, "model card", error=ModelError).split("---\n", 2)
        if len(parts) < 3 or parts[0].strip():
            return {}
        return read_document(parts[1], str(card), error=ModelError).values
    except ModelError:
        return {}
