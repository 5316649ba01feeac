"""From a model's name and an adapter's folder to a `LanguageModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from myna.engines import choose
from myna.generation.language_model import LanguageModel
from myna.models.adapters import model_note, noted_day, read_adapter, read_note
from myna.models.files import find
from myna.prompts.builder import PromptBuilder


def load(
    model: str,
    *,
    adapter_path: Path | str | None = None,
    engine: Literal["auto", "torch", "mlx"] = "auto",
    dtype: str = "auto",
    device: str = "auto",
) -> LanguageModel:
    """Load a base model, and an adapter on top of it.

    `model` is a folder or a hub id; `adapter_path` a run folder, a checkpoint, or an adapter's own folder.
    Raises `ModelError`, `AdapterError` (it does not fit this model), `PromptError` (no usable tokenizer)
    and `MissingDependency`.
    """
    chosen = choose(engine)
    files = find(model)
    note = model_note(files)
    if adapter_path is None:
        builder = PromptBuilder.load(files.folder, day=noted_day(note))
        return LanguageModel(chosen.load(files, dtype=dtype, device=device), builder, note)
    path = Path(adapter_path).expanduser()
    spec, tensors = read_adapter(path, files)
    note = {**note, **read_note(path)}
    builder = PromptBuilder.load(files.folder, day=noted_day(note))
    loaded = chosen.load(files, adapter=spec, dtype=dtype, device=device)
    loaded.load_trainable(tensors)
    return LanguageModel(loaded, builder, note)
