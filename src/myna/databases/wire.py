"""Messages between a `Database` and its worker process: JSON with its length in bytes in front.

JSON because nothing in it can run: a worker that a hostile database has taken over can only send data. What JSON has
no form for (bytes, decimals, dates) travels as `{"$": [type, text]}`; cells of any other type become their text.
Files are unbuffered pipes: a buffer's lock, held by a thread while the process forks, would stop the child for ever.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Mapping
from io import RawIOBase
from typing import Any

from myna.databases.schema import Column, ForeignKey, Schema, Skipped, Table

_LENGTH = struct.Struct("<Q")
_CHUNK = 2**20
_AS_TEXT = {"Decimal": str, "date": str, "datetime": str, "time": str}


def write_message(file: RawIOBase, message: Mapping[str, Any]) -> None:
    """Send `message`. Raises `OSError` when nobody reads any more."""
    text = json.dumps(message, default=_tag, ensure_ascii=False, separators=(",", ":"))
    content = text.encode("utf-8", "surrogatepass")  # a file's name may hold bytes that are no text
    left = memoryview(_LENGTH.pack(len(content)) + content)
    while left:
        left = left[file.write(left) or 0 :]


def read_message(file: RawIOBase) -> dict[str, Any] | None:
    """Wait for the next message; None when the other side is gone."""
    head = _read(file, _LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = _read(file, length)
    if len(content) < length:
        return None
    message: dict[str, Any] = json.loads(content, object_hook=_untag)
    return message


def schema_as_lists(schema: Schema) -> list[Any]:
    """Return what `schema_from_lists` reads. Lists, because a database may have a hundred thousand columns."""
    tables = [
        [
            table.name,
            [[column.name, column.type, column.kind, column.nullable, column.comment] for column in table.columns],
            table.primary_key,
            [[key.columns, key.table, key.referenced_columns] for key in table.foreign_keys],
            table.comment,
            table.is_view,
        ]
        for table in schema.tables
    ]
    return [tables, [[skipped.name, skipped.reason] for skipped in schema.skipped], schema.warnings]


def schema_from_lists(lists: list[Any]) -> Schema:
    """Return the schema that `schema_as_lists` put into a message."""
    tables, skipped, warnings = lists
    return Schema(
        tuple(
            Table(
                name,
                tuple(Column(*column) for column in columns),
                tuple(primary_key),
                tuple(ForeignKey(tuple(own), other, tuple(referenced)) for own, other, referenced in foreign_keys),
                comment,
                is_view,
            )
            for name, columns, primary_key, foreign_keys, comment, is_view in tables
        ),
        tuple(Skipped(name, reason) for name, reason in skipped),
        tuple(warnings),
    )


def _read(file: RawIOBase, length: int) -> bytearray:
    content = bytearray()
    while len(content) < length and (part := file.read(min(length - len(content), _CHUNK))):
        content += part
    return content


def _tag(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$": ["bytes", binascii.b2a_base64(value, newline=False).decode("ascii")]}
    name = type(value).__name__
    return {"$": [name, str(value)]} if name in _AS_TEXT else str(value)


def _untag(content: dict[str, Any]) -> Any:
    if "$" not in content:
        return content
    from datetime import date, datetime, time
    from decimal import Decimal

    read: dict[str, Callable[[str], Any]] = {
        "bytes": base64.b64decode,
        "Decimal": Decimal,
        "date": date.fromisoformat,
        "datetime": datetime.fromisoformat,
        "time": time.fromisoformat,
    }
    name, text = content["$"]
    return read[name](text)
