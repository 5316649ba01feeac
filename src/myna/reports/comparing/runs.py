"""A run as its own folder tells it: what was trained on what, its losses, speed, memory and sizes.

In: paths of run folders. Out: `ComparedRun`s, with a sentence for all that is not there. Loads no model: a base model
is known by the headers of its files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from myna.errors import ModelError, RecipeError, ResourceError, RunError
from myna.models.files import ModelFiles, expanded, locate
from myna.models.hub import is_hub_id
from myna.models.layers import layer_count
from myna.models.spec import DEFAULT_LAYERS
from myna.models.tensors import numpy_type
from myna.recipe import Recipe
from myna.reports.record import RunRecord, read_run
from myna.runs import RunFolder

METHODS = {"lora": "LoRA", "dora": "DoRA", "full": "full fine-tuning"}


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What a comparison says of a base model.

    parameters: numbers, packed ones counted one by one. weights: what most of them are kept as: `bfloat16`, or `4 bits
    in groups of 64`. fused_bytes: weights on disk after fusing, which keeps the base's types and packing.
    unpacked_bytes: after fusing with `--dequantize`; None for a base that is not packed.
    """

    parameters: int
    layers: int
    weights: str
    fused_bytes: int
    unpacked_bytes: int | None

    @classmethod
    def of(cls, files: ModelFiles) -> BaseModel:
        """Count, from the headers of the files."""
        parameters, unpacked = 0, 0
        kinds: Counter[str] = Counter()
        for name, info in files.tensors.items():
            path, _, kind = name.rpartition(".")
            packing = files.packing(path)
            if packing is not None and kind in ("scales", "biases"):
                continue
            size = math.prod(files.shape(name))
            parameters += size
            if packing is not None and kind == "weight":
                kinds[str(packing)] += size
                unpacked += size * numpy_type(files.tensors[f"{path}.scales"].dtype).itemsize
            else:
                kinds[numpy_type(info.dtype).name] += size
                unpacked += info.bytes
        return cls(
            parameters=parameters,
            layers=layer_count(files),
            weights=kinds.most_common(1)[0][0],
            fused_bytes=sum(info.bytes for info in files.tensors.values()),
            unpacked_bytes=unpacked if files.quantisation is not None else None,
        )


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run and what its folder tells. name: the end of its path that tells it from the others.

    base: None when the base model is not to be had. adapter_bytes: of all files of the kept adapter, None without one.
    missing: what is not there, in sentences.
    """

    name: str
    record: RunRecord
    base: BaseModel | None
    adapter_bytes: int | None
    missing: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.record.path

    @property
    def recipe(self) -> Recipe:
        """The run's recipe."""
        return self.record.recipe

    @property
    def method(self) -> str:
        """`LoRA rank 8` and the like."""
        kind = METHODS[self.recipe.fine_tune_type]
        if self.recipe.fine_tune_type == "full":
            return kind
        packed = self.base is not None and self.base.unpacked_bytes is not None
        return f"{'Q' if packed else ''}{kind} rank {self.recipe.lora_parameters.rank}"

    @property
    def layers(self) -> int | None:
        """How many decoder layers are trained; None when nobody says and the base model is gone."""
        asked, of = self.recipe.num_layers, None if self.base is None else self.base.layers
        if asked is None:
            return None if of is None else min(DEFAULT_LAYERS, of)
        return of if asked == -1 else asked

    @property
    def trained_parameters(self) -> int | None:
        """How many numbers training changes."""
        return self.record.started[-1].trained_parameters if self.record.started else None

    @property
    def trained_share(self) -> float | None:
        """Trained numbers over those of base model and adapter together, as PEFT counts."""
        trained = self.trained_parameters
        if trained is None or self.base is None:
            return None
        added = 0 if self.recipe.fine_tune_type == "full" else trained
        return trained / (self.base.parameters + added)

    @property
    def seconds(self) -> float | None:
        """Time spent in iterations, without evaluations and checkpoints."""
        return self.record.reports[-1].seconds if self.record.reports else None

    @property
    def tokens_per_second(self) -> float | None:
        """All tokens over the time spent in iterations."""
        if self.record.finished is not None:
            return self.record.finished.tokens_per_second
        tokens, before = 0.0, 0.0
        for report in self.record.reports:
            tokens += report.tokens_per_second * (report.seconds - before)
            before = report.seconds
        return tokens / before if before > 0 else None

    @property
    def trained_tokens_per_second(self) -> float | None:
        """Tokens that carry loss over the time spent in iterations."""
        last = self.record.reports[-1] if self.record.reports else None
        return last.trained_tokens / last.seconds if last is not None and last.seconds > 0 else None

    @property
    def training_peak_bytes(self) -> int | None:
        """Peak memory while it trained, before it was tested."""
        return max((report.peak_memory_bytes for report in self.record.reports), default=None)

    @property
    def device(self) -> str:
        """Engine, device and number type that it was trained with; empty when nothing says."""
        start = self.record.started[-1] if self.record.started else None
        parts = [self.record.environment.get("engine"), *((start.device, start.dtype) if start is not None else ())]
        return ", ".join(str(part) for part in parts if part)


def read_runs(paths: Sequence[Path | str], *, fetch: bool) -> tuple[ComparedRun, ...]:
    """Read the runs to compare. fetch: a base model that is a hub id may be downloaded.

    Raises `RecipeError` for fewer than two runs or the same one twice, `RunError` for what is no run or damaged.
    """
    folders = [expanded(path) for path in paths]
    if len(folders) < 2:
        raise RecipeError(f"a comparison needs two runs or more, found {len(folders)}; name their folders")
    places = [folder.resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise RecipeError(f"{folders[number]}: named twice; name each run once")
    names = _names(places)
    return tuple(_read(folder, name, fetch=fetch) for folder, name in zip(folders, names, strict=True))


def _names(places: Sequence[Path]) -> list[str]:
    """Return the shortest ends of paths that tell all of them apart."""
    most = max(len(place.parts) for place in places)
    for count in range(1, most + 1):
        names = ["/".join(place.parts[-count:]) for place in places]
        if len(set(names)) == len(names):
            return names
    return [str(place) for place in places]


def _read(folder: Path, name: str, *, fetch: bool) -> ComparedRun:
    record = read_run(folder)
    missing = list(_unfinished(record))
    base, why = _base(record.recipe.model, fetch=fetch)
    adapter = RunFolder(folder).adapter_path
    adapter_bytes = _folder_bytes(adapter) if adapter.is_dir() else None
    missing += [f"no adapter yet: {adapter.name}/ is not there"] if adapter_bytes is None else []
    missing += [f"the base model is not to be had: {why}"] if why else []
    return ComparedRun(name, record, base, adapter_bytes, tuple(missing))


def _unfinished(record: RunRecord) -> list[str]:
    lines = []
    if record.finished is None:
        planned = f" of {record.started[-1].iterations:,}" if record.started else ""
        lines.append(f"not finished: the run is at iteration {record.iteration:,}{planned}")
    if not record.reports:
        lines.append("no iteration was reported, so speed, memory and train loss are not known")
    if not record.evaluations:
        lines.append("nothing was validated")
    return lines


def _base(model: str, *, fetch: bool) -> tuple[BaseModel | None, str]:
    """Return the base model, or why there is none."""
    if not fetch and not expanded(model).is_dir() and is_hub_id(model):
        return None, f"{model} is not a folder here, and nothing is downloaded without measuring"
    try:
        return BaseModel.of(locate(model)), ""
    except (ModelError, ResourceError) as error:
        return None, str(error)


def _folder_bytes(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except OSError as error:
        raise RunError(f"{folder}: can't be read ({error.strerror or error})") from error
