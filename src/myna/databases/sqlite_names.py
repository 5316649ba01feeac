"""`"name"` → `` `name` `` in SQL for SQLite, so that a misspelt name is an error and not a text.

SQLite takes a double-quoted name that is no column for a string and answers with rows; a name in backticks never
(https://www.sqlite.org/quirks.html#dblquote). The scan follows SQLite's own tokens: strings, comments, brackets and
backticks are left as they are. Knows no schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Whatever may hold a double quote, by its first character. A token that never ends runs to the end of the text.
_QUOTING_TOKEN = re.compile(
    r"""
      '[^']*+(?:''[^']*+)*+'?
    | `[^`]*+(?:``[^`]*+)*+`?
    | \[[^\]]*+\]?
    | --[^\n]*+
    | /\*(?:(?!\*/).)*+(?:\*/)?
    | "(?P<name>[^"]*+(?:""[^"]*+)*+)"
    """,
    re.VERBOSE | re.DOTALL,
)


def with_backticks(sql: str) -> str:
    """Return `sql` with every double-quoted name in backticks instead."""
    return _QUOTING_TOKEN.sub(_in_backticks, sql) if '"' in sql else sql


def double_quoted_names(sql: str) -> Iterator[str]:
    """Give what stands in double quotes, unescaped."""
    for token in _QUOTING_TOKEN.finditer(sql):
        if token["name"] is not None:
            yield token["name"].replace('""', '"')


def _in_backticks(token: re.Match[str]) -> str:
    name = token["name"]
    if name is None:
        return token[0]
    # Two backticks in a row would be one within a name: `"a"` beside "`b`" needs a space between them.
    before = " " if token.string.endswith("`", 0, token.start()) else ""
    after = " " if token.string.startswith("`", token.end()) else ""
    return before + "`" + name.replace('""', '"').replace("`", "``") + "`" + after
