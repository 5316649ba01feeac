"""A YAML document read strictly: plain values, no key twice, every key's line known.

YAML 1.1 reads `1e-5` as text; here it is a number, as mlx_lm's files expect. Knows nothing of recipes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from myna.errors import RecipeError

Path = tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe loader that also takes numbers such as `1e-5` for numbers (YAML 1.2, section 10.2.1.4)."""


def know_numbers(resolver: type[yaml.resolver.BaseResolver]) -> None:
    """Let a loader, or a dumper that must quote such text, take `1e-5` for a number."""
    number = re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
    resolver.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))


know_numbers(_Loader)


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping, and the 1-based line of each of its keys by its path: `("lora_parameters", "rank")`."""

    values: Mapping[str, Any]
    lines: Mapping[Path, int]


def read_document(text: str, source: str) -> Document:
    """Read one YAML mapping.

    `source` names the file in messages. Raises `RecipeError` for what is not YAML or no mapping, and for a
    key that stands twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return Document({}, {})
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(
                f"{source}:{node.start_mark.line + 1}: expected settings such as 'batch_size: 4', found a"
                f" {'list' if isinstance(node, yaml.SequenceNode) else 'single value'}"
            )
        lines = dict(_lines(node, (), source))
        return Document(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        raise RecipeError(f"{where}: this is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _lines(node: yaml.MappingNode, parents: Path, source: str) -> Iterator[tuple[Path, int]]:
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise RecipeError(f"{source}:{line}: a setting's name must be a word")
        name = str(key.value)
        if name in seen:
            raise RecipeError(f"{source}:{line}: {name!r} stands here twice, first in line {seen[name]}")
        seen[name] = line
        yield (*parents, name), line
        if isinstance(value, yaml.MappingNode):
            yield from _lines(value, (*parents, name), source)
