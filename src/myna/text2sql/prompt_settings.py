"""What a prompt shows of a database: settled when training data is made, remembered with the model, kept when asking.

A data folder's `data.json` and the `myna.json` of an adapter or model hold it under `"prompt"`; training and fusing
hand it on without looking into it. So a question is asked byte for byte as questions were trained. Knows no files and
no database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeAlias

from myna.errors import ModelError, RecipeError
from myna.models.adapters import PROMPT

ValueNames: TypeAlias = Mapping[str, Mapping[str, Mapping[str, str | int | float]]]
"""Table → column → what people call a value → the value."""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How much of a database the prompts of a model show.

    samples: values of a column of texts beside the schema, and one of a column of numbers or dates; 0 for none. hints:
    whether the cells that the question names are shown. budget: what the schema may take, in bytes of UTF-8, so that
    every builder and every model cut it alike; a token takes about three (2.2 to 3.6 of Spider's schemas in the
    tokenizers that the project is tested with, 2.0 to 2.9 of a Chinese one). value_names: what people call values that
    the cells don't say, by table, column and name (`{"orders": {"status": {"shipped": 3}}}`): a question that has the
    name is told the value as if it had named a cell.
    """

    samples: int = 3
    hints: bool = True
    budget: int = 6_000
    value_names: ValueNames = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Raises `RecipeError` for numbers out of range."""
        if self.samples < 0 or self.budget < 1:
            raise RecipeError(
                f"samples {self.samples}, budget {self.budget}: expected at least 0 sample values of a column, and at "
                "least 1 byte for the schema"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return what stands under `"prompt"`, without value names where there are none."""
        return {name: value for name, value in asdict(self).items() if value or name != "value_names"}

    @classmethod
    def of(cls, note: Mapping[str, Any]) -> Self:
        """Return the settings in the content of a `data.json` or `myna.json`, the usual ones where it has none.

        Raises `ModelError` for settings that can't be kept to.
        """
        said = note.get(PROMPT, {})
        kinds = {each.name: type(getattr(cls(), each.name)) for each in fields(cls)}
        if (
            not isinstance(said, Mapping)
            or any(type(value) is not kinds.get(name) for name, value in said.items())
            or not _are_value_names(said.get("value_names", {}))
        ):
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


def _are_value_names(said: Mapping[Any, Any]) -> bool:
    columns = [columns for columns in said.values() if isinstance(columns, Mapping)]
    named = [names for each in columns for names in each.values() if isinstance(names, Mapping)]
    values = [value for names in named for value in names.values()]
    whole = len(columns) == len(said) and len(named) == sum(map(len, columns))
    return whole and all(isinstance(value, str | int | float) for value in values)
