"""What a worker sends is what its parent reads."""

import math
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from io import FileIO
from threading import Thread
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from myna.databases import Column, ForeignKey, Schema, Skipped, Table
from myna.databases.wire import read_message, schema_as_lists, schema_from_lists, write_message

CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.times()
)


@contextmanager
def pipe() -> Iterator[tuple[FileIO, FileIO]]:
    reading, writing = os.pipe()
    with closing(FileIO(reading, "rb")) as reader, closing(FileIO(writing, "wb")) as writer:
        yield reader, writer


def sent(message: dict[str, Any]) -> dict[str, Any] | None:
    with pipe() as (reader, writer):
        thread = Thread(target=write_message, args=(writer, message))
        thread.start()
        received = read_message(reader)
        thread.join()
        return received


@given(st.lists(CELLS))
def test_cells_arrive_as_they_were(cells: list[Any]) -> None:
    received = sent({"rows": [cells]})
    assert received == {"rows": [cells]}
    assert received is not None
    assert [type(cell) for cell in received["rows"][0]] == [type(cell) for cell in cells]


def test_a_message_longer_than_a_pipe_holds_arrives_whole() -> None:
    text = "字" * 1_000_000
    assert sent({"text": text}) == {"text": text}


def test_types_without_a_form_become_text_and_not_a_number_stays_one() -> None:
    received = sent(
        {
            "cells": [
                UUID(int=7),
                {
                    1,
                },
                math.nan,
                date(2020, 1, 2),
                datetime(2020, 1, 2, 3),
                time(4),
                Decimal("1.50"),
            ]
        }
    )
    assert received is not None
    cells = received["cells"]
    assert cells[:2] == [str(UUID(int=7)), "{1}"]
    assert math.isnan(cells[2])
    assert cells[3:] == [date(2020, 1, 2), datetime(2020, 1, 2, 3), time(4), Decimal("1.50")]


def test_a_torn_message_is_none() -> None:
    for content in (b"", b"\x05", b"\x05\0\0\0\0\0\0\0{}"):
        with pipe() as (reader, writer):
            writer.write(content)
            writer.close()
            assert read_message(reader) is None


def test_a_schema_arrives_as_it_was() -> None:
    columns = (Column("id", "INT", "number", False, "a key"), Column("of", "", "text"))
    tables = (Table("a", columns, ("id",), (ForeignKey(("of",), "b", ("id",)),), "all", True), Table("b", ()))
    schema = Schema(tables, (Skipped("c", "it is broken"),))
    received = sent({"schema": schema_as_lists(schema)})
    assert received is not None
    assert schema_from_lists(received["schema"]) == schema
