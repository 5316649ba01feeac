"""Values: the cells of a database that a question names, as hints for the prompt and literals for decoding.

A database goes in once and becomes an index on disk; then questions go in, and the few cells that they name come out.
Knows no model.
"""

from myna.text2sql.values.contents import Contents, contents
from myna.text2sql.values.hints import hints
from myna.text2sql.values.index import IndexedColumn, ValueIndex, ValueMatch

__all__ = ["Contents", "IndexedColumn", "ValueIndex", "ValueMatch", "contents", "hints"]
