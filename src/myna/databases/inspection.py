"""A server's tables, views, columns, keys and comments, through SQLAlchemy's inspector → `Schema`.

Knows no kind of server: what differs between them is SQLAlchemy's business. Also says what a declared type amounts to.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from myna.databases.schema import Column, ColumnKind, ForeignKey, Schema, Skipped, Table
from myna.databases.server_url import missing_driver

if TYPE_CHECKING:
    from sqlalchemy import Dialect, Inspector

_OWN_SCHEMAS = re.compile(r"information_schema|performance_schema|mysql|sys|pg_.*")
_KINDS: tuple[tuple[str, ColumnKind], ...] = (
    (
        r".*(\[\]|\))?\[\d*\]|STRUCT|MAP|UNION|JSON|ARRAY|LIST|.*VECTOR|.*RANGE|(MULTI)?(POINT|LINE|POLYGON)|GEO",
        "other",
    ),
    (r"BOOL|TINYINT\(1\)", "boolean"),
    (r"DATE|TIME", "date"),
    (r"[A-Z]*INT(EGER|\d|\b)|[A-Z]*SERIAL|NUM|DEC|REAL|FLOAT|DOUBLE|MONEY|YEAR|OID", "number"),
    (r".*CHAR|.*TEXT|STRING|ENUM|SET|UUID|NAME|CITEXT|INET|CIDR|XML|.*CLOB", "text"),
    (r".*BLOB|.*BINARY|BYTEA|BIT", "binary"),
)


def kind_of(declared: str) -> ColumnKind:
    """Return what a declared type amounts to."""
    upper = declared.upper()
    return next((kind for pattern, kind in _KINDS if re.match(pattern, upper)), "other")


def inspect_schema(dialect: str, connect: Callable[[], Any], default: str | None = None) -> Schema:
    """Describe all tables and views that the connection may see, the default schema's first, without its name.

    dialect: SQLAlchemy's URL of dialect and driver. connect: gives a driver's connection, which is closed at the end.
    default: the default schema, where it is not the connection's.
    Raises `MissingDependency` without SQLAlchemy, and the driver's errors.
    """
    with _inspector(dialect, connect) as inspector:
        return Schema(tuple(_tables(inspector, inspector.dialect, default)))


def inspect_one_by_one(
    dialect: str, connect: Callable[[], Any], names: Iterable[tuple[str, bool]], why_not: Callable[[str], str | None]
) -> Schema:
    """Describe the tables and views of the default schema, and skip those that can't be described.

    dialect, connect: as for `inspect_schema`. names: of tables and views, and whether it is a view. why_not: says why
    a view is to be skipped, if it is. Raises as `inspect_schema` does.
    """
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    tables: list[Table] = []
    skipped: list[Skipped] = []
    with _inspector(dialect, connect) as inspector:
        for name, is_view in names:
            reason = why_not(name) if is_view else None
            try:
                if reason is None:
                    tables.append(_table(inspector, name, is_view))
            except SQLAlchemyError as error:
                if isinstance(error, DBAPIError) and error.connection_invalidated:
                    raise
                cause = getattr(error, "orig", None) or error
                reason = str(cause.args[-1] if cause.args else cause)
            if reason is not None:
                skipped.append(Skipped(name, reason))
    return Schema(tuple(tables), tuple(skipped))


@contextmanager
def _inspector(dialect: str, connect: Callable[[], Any]) -> Iterator[Inspector]:
    try:
        from sqlalchemy import create_engine, inspect
        from sqlalchemy.exc import DBAPIError, SAWarning
        from sqlalchemy.pool import NullPool
    except ImportError as error:
        raise missing_driver("SQLAlchemy", "the schema") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # types that SQLAlchemy does not know; we show them as "other"
        engine = create_engine(dialect, creator=connect, poolclass=NullPool)
        try:
            with engine.connect() as connection:
                yield inspect(connection)
        except DBAPIError as error:
            raise error.orig or error from None


def _table(inspector: Inspector, name: str, is_view: bool) -> Table:
    """Describe one table or view of the default schema."""
    key = () if is_view else inspector.get_pk_constraint(name)["constrained_columns"]
    references = [] if is_view else inspector.get_foreign_keys(name)
    return Table(
        name=name,
        columns=tuple(_column(column, inspector.dialect) for column in inspector.get_columns(name)),
        primary_key=tuple(key),
        foreign_keys=tuple(_foreign_key(reference, inspector.default_schema_name) for reference in references),
        comment=_text(inspector.get_table_comment(name)),
        is_view=is_view,
    )


def _tables(inspector: Inspector, dialect: Dialect, default: str | None) -> Iterator[Table]:
    from sqlalchemy.engine.reflection import ObjectKind

    default = default or inspector.default_schema_name
    names = [name for name in inspector.get_schema_names() if not _OWN_SCHEMAS.fullmatch(name) and name != default]
    for schema in (default, *names):
        prefix = "" if schema == default else f"{schema}."
        columns = inspector.get_multi_columns(schema, kind=ObjectKind.ANY)
        keys = inspector.get_multi_pk_constraint(schema)
        references = inspector.get_multi_foreign_keys(schema)
        comments = inspector.get_multi_table_comment(schema, kind=ObjectKind.ANY)
        tables = set(inspector.get_table_names(schema))
        for place in columns:
            _, name = place
            yield Table(
                name=f"{prefix}{name}",
                columns=tuple(_column(column, dialect) for column in columns[place]),
                primary_key=tuple(keys[place]["constrained_columns"]) if keys.get(place) else (),
                foreign_keys=tuple(_foreign_key(key, default) for key in references.get(place, [])),
                comment=_text(comments.get(place)),
                is_view=name not in tables,
            )


def _column(column: Mapping[str, Any], dialect: Dialect) -> Column:
    from sqlalchemy.exc import CompileError

    try:
        declared = column["type"].compile(dialect)
    except CompileError:  # a type of an extension
        declared = ""
    declared = re.sub(r" (COLLATE|CHARACTER SET) .*", "", declared)
    return Column(
        name=str(column["name"]),
        type=declared,
        kind="text" if hasattr(column["type"], "enums") else kind_of(declared),
        nullable=bool(column["nullable"]),
        comment=column.get("comment") or "",
    )


def _foreign_key(key: Mapping[str, Any], default: str | None) -> ForeignKey:
    schema = key["referred_schema"]
    prefix = "" if schema in (None, default) else f"{schema}."
    return ForeignKey(
        tuple(key["constrained_columns"]), f"{prefix}{key['referred_table']}", tuple(key["referred_columns"])
    )


def _text(comment: Mapping[str, Any] | None) -> str:
    return (comment or {}).get("text") or ""
