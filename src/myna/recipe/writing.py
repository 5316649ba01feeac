"""A recipe as YAML: every setting with its value, under headings, each with its description."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

from myna.recipe.settings import SECTIONS, Recipe


def to_yaml(recipe: Recipe) -> str:
    """Write every field, defaults included; `from_yaml` reads back an equal recipe."""
    values = recipe.model_dump(mode="json")
    blocks = []
    for heading, names in SECTIONS.items():
        lines = [f"# {heading}"]
        for name in names:
            description = Recipe.model_fields[name].description or ""
            lines += [*textwrap.wrap(description, 110, initial_indent="# ", subsequent_indent="#   ")]
            lines.append(_entry(name, values[name]))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _entry(name: str, value: Any) -> str:
    written: str = yaml.safe_dump({name: value}, allow_unicode=True, sort_keys=False, width=10_000)
    return written.rstrip("\n")
