"""A recipe as YAML: every setting with its value, under headings, each with its description."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import yaml

from myna.recipe.document import know_numbers
from myna.recipe.settings import SECTIONS, Recipe


class _Dumper(yaml.SafeDumper):
    """Quotes text with characters that a reader would take for line ends or leave out."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def ignore_aliases(self, data: Any) -> bool:
        """Write out what stands there twice: an alias could not be read back."""
        return True


know_numbers(_Dumper)
_Dumper.add_representer(str, _Dumper.represent_text)


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
    written: str = yaml.dump({name: value}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=math.inf)
    return written.rstrip("\n")
