"""`glossary.yaml`: what people call the tables, columns and values of their database.

    tables:
      students:
        names: [pupil, 学生]            # singular; the first of a language is used most
        columns:
          Grade:
            names: [grade, class level, 年级]
            values:
              9: [ninth grade, 九年级]  # Grade = 9 is asked for as "ninth grade"
              10: [tenth grade, 十年级]
          Tel:
            names: [phone number, 电话]

The names of values are kept with the data and with what learns it, so that asking knows them too.

Every key is optional and one name may stand without its list. A name with a Chinese character is a Chinese one. Tables
and columns are those of the database, whatever their case. Knows the schema, and no statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myna.databases import Column, Schema
from myna.errors import DataError, cut, did_you_mean, excerpt, listing
from myna.recipe.document import plain_value, read_document, read_file


@dataclass(frozen=True, slots=True)
class ColumnGlossary:
    """Names of a column; of its values by how the value reads as text (`9`, `9.0` and `"9"` are all `9`)."""

    names: tuple[str, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableGlossary:
    """Names of a table, and its columns' by the name in the schema."""

    names: tuple[str, ...] = ()
    columns: Mapping[str, ColumnGlossary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Glossary:
    """What is said of each table, by its name in the schema."""

    tables: Mapping[str, TableGlossary] = field(default_factory=dict)


def value_key(value: object) -> str:
    """Return how a value is looked up: whole numbers without a decimal point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def read_glossary(path: Path, schema: Schema) -> Glossary:
    """Read a glossary for `schema`.

    Raises `DataError` with the place in the file: no such file, no YAML, a table or column that the database has not
    (the nearest is named), a key or name of the wrong form, one name for two values of a column.
    """
    text = read_file(path, "glossary", error=DataError)
    loaded = read_document(text, str(path), error=DataError).values
    reader = _Reader(path)
    top = reader.mapping(loaded, "", ("tables",))
    known = {table.name: table for table in schema.tables}
    tables = {}
    for name, entry in reader.mapping(top.get("tables"), "tables", None).items():
        table = known[reader.known(str(name), known, "tables", "table")]
        tables[table.name] = reader.table(entry, f"tables: {table.name}", table.columns)
    return Glossary(tables)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def mapping(self, entry: Any, place: str, keys: tuple[str, ...] | None) -> dict[Any, Any]:
        if entry is None:
            return {}
        if not isinstance(entry, dict):
            raise self._error(
                place, f"expected a mapping{f' with {_listed(keys)}' if keys else ''}, found {excerpt(entry)}"
            )
        if unknown := [key for key in entry if keys and key not in keys]:
            guess = did_you_mean(str(unknown[0]), keys or ())
            raise self._error(place, f"unknown key {excerpt(unknown[0])}{guess} (expected {_listed(keys or ())})")
        return entry

    def known(self, name: str, known: Iterable[str], place: str, what: str) -> str:
        names = list(known)
        if name in names:
            return name
        same = [candidate for candidate in names if candidate.casefold() == name.casefold()]
        if len(same) == 1:
            return same[0]
        near = did_you_mean(name.casefold(), [candidate.casefold() for candidate in names])
        for candidate in names:
            near = near.replace(f"'{candidate.casefold()}'", repr(candidate))
        raise self._error(place, f"the database has no {what} {excerpt(name)}{near} (it has: {listing(names)})")

    def table(self, entry: Any, place: str, columns: Iterable[Column]) -> TableGlossary:
        fields = self.mapping(entry, place, ("names", "columns"))
        names = [column.name for column in columns]
        said = {}
        for name, column in self.mapping(fields.get("columns"), f"{place}: columns", None).items():
            exact = self.known(str(name), names, f"{place}: columns", "column")
            said[exact] = self.column(column, f"{place}: columns: {exact}")
        return TableGlossary(self.names(fields.get("names"), f"{place}: names"), said)

    def column(self, entry: Any, place: str) -> ColumnGlossary:
        fields = self.mapping(entry, place, ("names", "values"))
        values: dict[str, tuple[str, ...]] = {}
        taken: dict[str, str] = {}
        for value, names in self.mapping(fields.get("values"), f"{place}: values", None).items():
            key = value_key(plain_value(value))
            if key in values:
                raise self._error(place, f"the value {key} has names in two places; write them in one list")
            values[key] = self.names(names, f"{place}: values: {key}")
            for name in values[key]:
                other = taken.setdefault(name.casefold(), key)
                if other != key:
                    raise self._error(
                        place,
                        f"{excerpt(name)} is called both {cut(other)} and {cut(key)}; give each value its own name",
                    )
        return ColumnGlossary(self.names(fields.get("names"), f"{place}: names"), values)

    def names(self, entry: Any, place: str) -> tuple[str, ...]:
        listed = [] if entry is None else entry if isinstance(entry, list) else [entry]
        for name in listed:
            if not isinstance(name, str) or not name.strip():
                raise self._error(place, f"expected names, found {excerpt(name)}; put numbers and yes/no in quotes")
        return tuple(dict.fromkeys(" ".join(name.split()) for name in listed))

    def _error(self, place: str, message: str) -> DataError:
        return DataError(f"{self._path}: {f'{place}: ' if place else ''}{message}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
