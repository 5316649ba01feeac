"""The one reader of YAML: plain values, no key twice, the line of every key, and limits on what a file may be.

Only what settings need is read: mappings, lists and single values. Anchors, aliases and tags are refused, so that a
small file can't unfold into a large one, and so are files that are too long, too deep or of too many values.

Values are read by YAML 1.2's core schema without its octal and hexadecimal numbers (yaml.org/spec/1.2.2, section
10.3.2), and `1e-5` is a number, as mlx_lm's files expect. What YAML 1.1 read in other ways (`010`, `1_000`, `1:30`,
`yes`, dates) stays the text that is written there. Knows nothing of recipes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from myna.errors import MynaError, RecipeError

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 32
MAX_VALUES = 200_000

KeyPath: TypeAlias = tuple[str, ...]

_PARSER = getattr(yaml, "CLoader", yaml.Loader)
"""Its constructors are not used; libyaml's parser is some 30 times as fast as the one written in Python."""

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_MOST_DIGITS = 400
"""More than any double has before its decimal point; far more make `int` slow or raise."""
_WORDS: Mapping[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((f"{sign}{word}" for sign in ("", "+") for word in (".inf", ".Inf", ".INF")), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping whose keys are text, and the 1-based lines of its keys and list elements.

    A line is found by its path: `("lora_parameters", "rank")`, `("lr_schedule", "arguments", "0")`.
    """

    values: Mapping[str, Any]
    lines: Mapping[KeyPath, int]


def plain_value(text: str) -> str | int | float | bool | None:
    """Return what a value written without quotes stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MOST_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def know_numbers(dumper: type[yaml.resolver.BaseResolver]) -> None:
    """Let a dumper, which knows YAML 1.1's numbers, put quotes around text that looks like one of ours: `1e-5`."""
    number = re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")
    dumper.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))


def read_file(path: Path, what: str, *, error: type[MynaError] = RecipeError) -> str:
    """Return the text of a YAML file; `what` it is, as messages call it, such as "recipe".

    Raises `error` when it can't be read, is not UTF-8 or is longer than any such file should be.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as cause:
        raise error(f"{path}: can't read this {what}: {cause.strerror or cause}") from cause
    if len(content) > MAX_BYTES:
        raise error(f"{path}: the file has more than {MAX_BYTES // 2**20} MiB, too much for a {what}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise error(f"{path}: a {what} is UTF-8 text; byte {cause.start} is not") from cause


def read_document(text: str, source: str, *, error: type[MynaError] = RecipeError) -> Document:
    """Read one YAML mapping.

    `source` names the file in messages. Raises `error`, with file and line, for what is not YAML or no mapping, for a
    key that stands twice, for anchors, aliases and tags, and for what is beyond the limits of this module.
    """
    if len(text) > MAX_BYTES:
        raise error(f"{source}: more than {MAX_BYTES // 2**20} MiB of YAML are not read")
    try:
        return _Reader(text).document()
    except _ProblemError as problem:
        raise error(f"{source}:{problem.line}: {problem}") from problem
    except yaml.MarkedYAMLError as cause:
        raise error(f"{source}:{_line(text, cause)}: this is not YAML: {cause.problem or cause.context}") from cause
    except yaml.reader.ReaderError as cause:
        line = text.count("\n", 0, cause.position) + 1
        raise error(f"{source}:{line}: this is not YAML: {cause.reason}") from cause
    except (yaml.YAMLError, UnicodeError) as cause:
        raise error(f"{source}: this is not YAML: {' '.join(str(cause).split())}") from cause


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _line(text: str, error: yaml.MarkedYAMLError) -> int:
    """Return the line that the parser complains of; what ends too early ends with the text's last line."""
    mark = error.problem_mark or error.context_mark
    return min(mark.line + 1 if mark else 1, text.rstrip("\n").count("\n") + 1)


class _ProblemError(Exception):
    """What is wrong with a document, and in which line (1-based)."""

    def __init__(self, event: yaml.Event, problem: str) -> None:
        super().__init__(problem)
        self.line = _line_of(event)


class _Reader:
    """Makes values of the parser's events as they come, so that a limit ends the reading too."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_PARSER)
        self._lines: dict[KeyPath, int] = {}
        self._values = 0

    def document(self) -> Document:
        next(self._events)  # the stream begins
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Document({}, {})
        first = next(self._events)
        value = self._value(first, ())
        next(self._events)  # the document ends
        if not isinstance(another := next(self._events), yaml.StreamEndEvent):
            raise _ProblemError(another, "a second document begins here; keep one of them")
        if value is None:
            return Document({}, {})
        if not isinstance(value, dict):
            found = "list" if isinstance(value, list) else "single value"
            raise _ProblemError(first, f"expected lines such as 'name: value', found a {found}")
        return Document(value, self._lines)

    def _value(self, event: yaml.Event, path: KeyPath) -> Any:
        self._check(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return plain_value(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        return self._mapping(path)

    def _list(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            place = (*path, str(len(values)))
            self._lines[place] = _line_of(event)
            values.append(self._value(event, place))
        return values

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._check(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise _ProblemError(event, "a setting's name must be a word")
            name, place = event.value, (*path, event.value)
            if name in values:
                raise _ProblemError(event, f"{name[:60]!r} stands here twice, first in line {self._lines[place]}")
            self._lines[place] = _line_of(event)
            values[name] = self._value(next(self._events), place)
        return values

    def _check(self, event: yaml.Event, path: KeyPath) -> None:
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            raise _ProblemError(event, f"the alias *{str(event.anchor)[:60]} is not read; write out what it stands for")
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            raise _ProblemError(event, f"the anchor &{event.anchor[:60]} is not read; leave it out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise _ProblemError(
                event, f"this is not YAML that is read here: leave out the tag {event.tag[:60]!r}, put text in quotes"
            )
        if len(path) > MAX_DEPTH:
            raise _ProblemError(event, f"settings are nested deeper than {MAX_DEPTH} levels")
        if self._values > MAX_VALUES:
            raise _ProblemError(event, f"more than {MAX_VALUES:,} names and values are not read")
