"""What a prompt shows of a database: settled when training data is made, remembered with the model, kept when asking.

A data folder's `data.json` and the `myna.json` of an adapter or model hold it under `"prompt"`; training and fusing
hand it on without looking into it. So a question is asked byte for byte as questions were trained. Knows no files and
no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from myna.errors import ModelError, RecipeError
from myna.models.adapters import PROMPT


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How much of a database the prompts of a model show.

    samples: values of a column of texts beside the schema, and one of a column of numbers or dates; 0 for none. hints:
    whether the cells that the question names are shown. budget: what the schema may take, in bytes of UTF-8, so that
    every builder and every model cut it alike; a token takes about three (2.2 to 3.6 of Spider's schemas in the
    tokenizers that the project is tested with, 2.0 to 2.9 of a Chinese one).
    """

    samples: int = 3
    hints: bool = True
    budget: int = 6_000

    def __post_init__(self) -> None:
        """Raises `RecipeError` for numbers out of range."""
        if self.samples < 0 or self.budget < 1:
            raise RecipeError(
                f"samples {self.samples}, budget {self.budget}: expected at least 0 sample values of a column, and at "
                "least 1 byte for the schema"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return what stands under `"prompt"`."""
        return asdict(self)

    @classmethod
    def of(cls, note: Mapping[str, Any]) -> Self:
        """Return the settings in the content of a `data.json` or `myna.json`, the usual ones where it has none.

        Raises `ModelError` for settings that can't be kept to.
        """
        said = note.get(PROMPT, {})
        kinds = {each.name: type(each.default) for each in fields(cls)}
        if not isinstance(said, Mapping) or any(type(value) is not kinds.get(name) for name, value in said.items()):
            raise ModelError(
                f'"{PROMPT}": {said!r:.200} says how prompts were made and can\'t be kept to; expected '
                f"{', '.join(f'{name} ({kind.__name__})' for name, kind in kinds.items())}. "
                "Another version of Myna wrote it, or it was edited"
            )
        try:
            return cls(**said)
        except RecipeError as error:
            raise ModelError(f'"{PROMPT}": {error}') from error

    def without_values(self) -> Self:
        """Return the same without anything that stands in the database's cells."""
        return type(self)(samples=0, hints=False, budget=self.budget)
