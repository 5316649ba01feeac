"""DuckDB files, and CSV, Parquet and JSON files through DuckDB, behind walls that don't lean on each other.

1. A DuckDB file is opened read-only, every query runs in `BEGIN TRANSACTION READ ONLY` and is rolled back.
2. DuckDB's own parser says that it is one statement, a SELECT, and which functions it calls: no table function but
   those on a list, and none with side effects, nor a macro or view of the file that calls one.
3. No file, address or extension can be reached (`enable_external_access=false`), and no setting changed
   (`lock_configuration=true`). Of files that are the database themselves, exactly these may be read: each is a view, so
   that they may be larger than memory and a new process is ready at once.
4. Memory is limited by DuckDB, nothing is put into temporary files, and a timer interrupts what takes too long.

An address goes in; rows and a schema come out. Numbers, booleans and bytes are Python's, all other values are texts.
"""

from __future__ import annotations

import datetime
import glob
import json
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myna.databases.address import Address, is_table_file
from myna.databases.duckdb_schema import read_schema
from myna.databases.hard_links import check_other_names
from myna.databases.numbers import number
from myna.databases.query import Limits, Result, took_too_long, took_too_much_memory
from myna.databases.rows import collect
from myna.databases.schema import Schema
from myna.databases.server_url import missing_driver
from myna.errors import DatabaseError, QueryError, QueryErrorKind

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SCHEMA_SECONDS = 60.0
_PREPARE_SECONDS = 10.0
_PROCESS_BYTES = 110 * 2**20  # what Python and DuckDB take before the first query
_LEAST_BYTES = 32 * 2**20
_ROWS_AT_A_TIME = 64

_SETTINGS = {
    "threads": "1",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",  # else an unknown table's name finds a variable of this program
    "temp_directory": "",
    "max_temp_directory_size": "0B",
}
_LOCKS = ("SET enable_external_access = false", "SET lock_configuration = true")

_PARSED = "SELECT json_serialize_sql(?)"
_FUNCTION = re.compile(r'"function_name":("(?:[^"\\]|\\.)*")')
_WRITING_NODE = re.compile(r'"type":"(?:INSERT|UPDATE|DELETE|MERGE)\w*"')
_NOT_ONLY_READING = """
SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE internal AND (
    (has_side_effects OR stability = 'VOLATILE') AND NOT list_contains(?, function_name)
    OR function_type IN ('table', 'table_macro', 'pragma') AND NOT list_contains(?, function_name))
"""
_HARMLESS = (
    *("random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "error", "current_query", "vector_type", "stats"),
    *("current_connection_id", "current_query_id", "current_transaction_id"),
)
# Not among them: functions that run SQL or code given as text (query, json_execute_serialized_sql), that switch
# something (enable_…, checkpoint) and the scanners of Python's objects.
_HARMLESS_TABLES = (
    *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "query_table"),
    *("histogram", "histogram_values", "summary", "pg_timezone_names", "icu_calendar_names", "test_all_types"),
    *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_dependencies", "duckdb_functions"),
    *("duckdb_indexes", "duckdb_keywords", "duckdb_schemas", "duckdb_sequences", "duckdb_settings", "duckdb_tables"),
    *("duckdb_types", "duckdb_views", "duckdb_extensions", "pragma_table_info", "pragma_show", "pragma_version"),
    *("pragma_database_size", "pragma_storage_info", "pragma_collations", "pragma_platform", "seq_scan"),
)
# Of files that are the database themselves. In a DuckDB file a query has no business with files; its own could be read.
_READERS = (
    *("glob", "read_csv", "read_csv_auto", "sniff_csv", "read_parquet", "parquet_scan", "read_json", "read_json_auto"),
    *("read_ndjson", "read_ndjson_auto", "read_json_objects", "read_ndjson_objects", "read_text", "read_blob"),
    *("parquet_schema", "parquet_metadata", "parquet_file_metadata", "parquet_kv_metadata"),
)
# What a file defines, as DuckDB writes it: calls look alike everywhere, and names of functions are plain words.
_DEFINED = """
SELECT false, function_name, macro_definition FROM duckdb_functions()
WHERE NOT internal AND macro_definition IS NOT NULL
UNION ALL SELECT true, view_name, sql FROM duckdb_views() WHERE NOT internal
"""
_BY_NAME = {"query_table", "histogram", "histogram_values"}
_CALLED = re.compile(r'(\w+)"?\s*\(')
_RELATION = re.compile(r'"table_name":("(?:[^"\\]|\\.)*")')
# DuckDB's Python module has no value of its own for these, needs another package for it, or loses a part.
_SHOWN_AS_TEXT = re.compile(r".*(WITH TIME ZONE|\]|_NS)|INTERVAL|STRUCT.*|MAP.*|UNION.*")

_TABLE_OF_FILE = {
    ".csv": "read_csv({path}{packed})",
    ".tsv": "read_csv({path}, delim = '\t'{packed})",
    ".parquet": "read_parquet({path})",
    ".json": "read_json({path}{packed})",
    ".jsonl": "read_json({path}, format = 'newline_delimited'{packed})",
    ".ndjson": "read_json({path}, format = 'newline_delimited'{packed})",
}


def open_duckdb(address: Address, *, memory: int) -> DuckDBDatabase:
    """Open a DuckDB file, or the table file or folder of table files, at `address.location` for reading.

    memory: bytes that this process may take in all, DuckDB being left what the process does not need itself.
    Raises `DatabaseError` when there is no such file or it can't be read, `MissingDependency` without duckdb.
    """
    return DuckDBDatabase(address, memory)


class DuckDBDatabase:
    """An open DuckDB database. A `Backend`. Opens it again when DuckDB has given it up after an error."""

    dialect = "duckdb"

    def __init__(self, address: Address, memory: int) -> None:
        self._address = address
        self._memory = memory
        self._refused: frozenset[str] = frozenset()
        self._refused_views: frozenset[str] = frozenset()
        self._connection: DuckDBPyConnection | None = self._connect()

    def run(self, sql: str, limits: Limits) -> Result:
        """Run one query within `limits`. Raises `QueryError`."""
        started = time.monotonic()
        with self._transaction(limits.seconds) as connection:
            query = self._checked(connection, sql)
            columns, types = self._described(connection, query)
            connection.execute(_with_texts(query, types))
            rows, truncated = collect(_rows(connection), limits)
        return Result(columns, rows, truncated, time.monotonic() - started)

    def prepare(self, sql: str) -> None:
        """Let DuckDB parse and bind a query without running it. Raises `QueryError`."""
        with self._transaction(_PREPARE_SECONDS) as connection:
            self._described(connection, self._checked(connection, sql))

    def schema(self) -> Schema:
        """Describe the tables and views of all schemas. Raises `DatabaseError`."""
        with self._transaction(_SCHEMA_SECONDS) as connection:
            return read_schema(connection, are_files=self._address.kind == "files")

    def close(self) -> None:
        """Close it; harmless when called twice."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _transaction(self, seconds: float) -> Iterator[DuckDBPyConnection]:
        """Give the connection, in a read-only transaction that is rolled back, for so many seconds."""
        import duckdb

        connection = self._connection = self._connection or self._connect()
        timer = threading.Timer(seconds, connection.interrupt)
        try:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            timer.start()
            yield connection
        except (duckdb.FatalException, duckdb.InternalException) as error:
            self.close()  # DuckDB refuses to go on with this one
            raise _query_error(error, seconds) from None
        except (duckdb.Error, MemoryError, RuntimeError) as error:
            raise _query_error(error, seconds) from None
        finally:
            timer.cancel()
            if self._connection is not None:
                try:
                    connection.execute("ROLLBACK")
                except (duckdb.Error, MemoryError):  # not even memory for that: opening it again frees all
                    self.close()

    def _checked(self, connection: DuckDBPyConnection, sql: str) -> str:
        """Return the one query in `sql`, without what stands around it. Raises `QueryError` if it may not be run."""
        if "\0" in sql:
            raise QueryError("the query holds a NUL character; write it without", "refused")
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise QueryError(f"{len(statements)} statements where one query is run", "refused")
        try:
            kind = statements[0].type.name
        except ValueError:  # one that DuckDB's Python module has no name for
            kind = "a statement of another kind"
        if kind != "SELECT":
            raise QueryError(f"only a query can be run; this is {kind}", "refused")
        query = statements[0].query.strip().rstrip(";")
        (parsed,) = connection.execute(_PARSED, [query]).fetchone() or ("",)
        if '"error":false' not in parsed[:100]:
            raise QueryError("the query can't be checked, because DuckDB can't show how it reads it", "refused")
        if _WRITING_NODE.search(parsed):
            raise QueryError("a part of the query is not a query: it would write", "refused")
        refused = self._refused.intersection(json.loads(name).lower() for name in _FUNCTION.findall(parsed))
        if refused:
            raise QueryError(f"the function {min(refused)} may do more than read, so it is not run", "refused")
        views = self._refused_views.intersection(json.loads(name).lower() for name in _RELATION.findall(parsed))
        if views:
            raise QueryError(f"the view {min(views)} calls what may do more than read, so it is not run", "refused")
        return query

    def _described(self, connection: DuckDBPyConnection, query: str) -> tuple[tuple[str, ...], list[str]]:
        """Return the names and types of the columns that `query` gives."""
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        return tuple(str(row[0]) for row in described), [str(row[1]) for row in described]

    def _connect(self) -> DuckDBPyConnection:
        try:
            import duckdb
        except ImportError as error:
            raise missing_driver("duckdb", self._address.shown) from error
        is_file = self._address.kind == "duckdb"
        if is_file and not os.path.isfile(self._address.location):
            what = "is a folder" if os.path.isdir(self._address.location) else "there is no such file"
            raise DatabaseError(f"{self._address.shown}: {what}; expected a DuckDB file")
        if is_file:
            check_other_names(os.path.realpath(self._address.location), (".wal",))
        limit = max(self._memory - _PROCESS_BYTES, _LEAST_BYTES)
        try:
            connection = duckdb.connect(
                self._address.location if is_file else ":memory:",
                read_only=is_file,
                config={**_SETTINGS, "memory_limit": f"{limit}B"},
            )
            if not is_file:
                self._add_files(connection)
            for lock in _LOCKS:
                connection.execute(lock)
            tables = _HARMLESS_TABLES if is_file else (*_HARMLESS_TABLES, *_READERS)
            functions = connection.execute(_NOT_ONLY_READING, [list(_HARMLESS), list(tables)]).fetchall()
            self._refused, self._refused_views = _with_defined(
                {name for (name,) in functions}, connection.execute(_DEFINED).fetchall()
            )
        except (duckdb.Error, MemoryError) as error:
            raise DatabaseError(
                f"{self._address.shown}: can't be opened: {_sentence(error)}; look whether it is a whole DuckDB file, "
                "not encrypted, and that no other program has it open for writing"
            ) from None
        return connection

    def _add_files(self, connection: DuckDBPyConnection) -> None:
        """Make a view of every table file of the address, and allow these files, and nothing else, to be read."""
        import duckdb

        files = _table_files(Path(self._address.location), self._address.shown)
        for name, path in files.items():
            is_packed = path.suffix.lower() == ".gz"
            ending = Path(path.stem if is_packed else path.name).suffix.lower()
            source = _TABLE_OF_FILE.get(ending, _TABLE_OF_FILE[".parquet"]).format(
                path=_literal(glob.escape(str(path))), packed=", compression = 'gzip'" if is_packed else ""
            )
            try:
                connection.execute(f"CREATE VIEW {_quoted(name)} AS SELECT * FROM {source}")
            except (duckdb.Error, MemoryError) as error:
                raise DatabaseError(f"{path}: can't be read as a table: {_sentence(error)}") from None
        allowed = sorted({way for path in files.values() for way in (str(path), glob.escape(str(path)))})
        connection.execute(f"SET allowed_paths = [{', '.join(map(_literal, allowed))}]")


def _with_defined(refused: set[str], defined: Sequence[tuple[bool, str, str]]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the functions and the views that may not be used: those given, and what a file defines by way of them.

    defined: whether it is a view, its name, its text.
    """
    texts = [(is_view, name.lower(), text.lower()) for is_view, name, text in defined]
    views: set[str] = set()
    while True:
        further = [
            (is_view, name)
            for is_view, name, text in texts
            if name not in (views if is_view else refused)
            and (not refused.isdisjoint(_CALLED.findall(text)) or any(view in text for view in views))
        ]
        if not further:
            # they take a relation's name as text, where the parser sees no relation
            return frozenset(refused | (_BY_NAME if views else set())), frozenset(views)
        for is_view, name in further:
            (views if is_view else refused).add(name)


def _table_files(place: Path, shown: str) -> dict[str, Path]:
    """Return the table files at `place` by the names of their tables: the file's without ending where that is one's
    alone, upper and lower case being the same to DuckDB."""
    if not place.exists():
        raise DatabaseError(f"{shown}: no such file or folder")
    inside = sorted(place.iterdir()) if place.is_dir() else [place]
    files = [path for path in inside if not path.name.startswith(".") and is_table_file(path.name)] or [place]
    for path in files:
        try:
            is_regular = stat.S_ISREG(path.stat().st_mode)
        except OSError as error:
            raise DatabaseError(f"{path}: can't be read ({error.strerror})") from None
        if not is_regular:  # reading a named pipe would wait for ever
            raise DatabaseError(f"{path}: is not a regular file; take it out of the folder, or name one of the files")
    short = [path.name.removesuffix(".gz").rpartition(".")[0] or path.name for path in files]
    lowered = [name.lower() for name in short]
    return {
        name if lowered.count(name.lower()) == 1 else path.name: path for name, path in zip(short, files, strict=True)
    }


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_texts(query: str, types: list[str]) -> str:
    """Return `query`, with columns that Python has no value for cast to text around it."""
    as_text = [_SHOWN_AS_TEXT.fullmatch(kind) is not None for kind in types]
    if not any(as_text):
        return query
    columns = ", ".join(f"CAST(c{i} AS VARCHAR)" if text else f"c{i}" for i, text in enumerate(as_text))
    names = ", ".join(f"c{i}" for i in range(len(types)))
    return f"SELECT {columns} FROM ({query}\n) AS myna_query({names})"


def _rows(connection: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(_ROWS_AT_A_TIME):
        for row in rows:
            yield tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    """Return a cell as Python's number, boolean or bytes, or as text."""
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case Decimal():
            return number(value)
        case bytearray() | memoryview():
            return bytes(value)
        case datetime.datetime():
            return value.isoformat(sep=" ")
        case _:
            return str(value)


def _query_error(error: Exception, seconds: float) -> DatabaseError:
    """Put what DuckDB says in our words."""
    import duckdb

    kind: QueryErrorKind = "database"
    sentence = _sentence(error)
    match error:
        case duckdb.InterruptException():
            return took_too_long(seconds)
        case duckdb.OutOfMemoryException() | MemoryError():
            return took_too_much_memory()
        case duckdb.ParserException() | duckdb.SyntaxException():
            kind = "syntax"
        case duckdb.CatalogException() if sentence.startswith(("Table with name", "Schema with name")):
            kind = "unknown table"
        case duckdb.BinderException() if sentence.startswith("Referenced table"):
            kind = "unknown table"
        case duckdb.BinderException() if re.match("Referenced column|Table .* does not have a column", sentence):
            kind = "unknown column"
        case duckdb.PermissionException():
            kind = "refused"
    return QueryError(sentence, kind)


def _sentence(error: Exception) -> str:
    """Return DuckDB's first sentence, without its name for the error and the picture of the place."""
    first = str(error).strip().split("\n\n")[0]
    return re.sub(r"^[A-Z]\w*( \w+)* Error: ", "", " ".join(first.split())) or type(error).__name__
