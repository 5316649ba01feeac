"""SQL as text → one parsed query, or a sentence that says why it is not run.

The first gate, in the parent process, for good messages and a common rule on all kinds of database; no wall leans on
it. What sqlglot can't parse is not run. Knows no schema and no database.

sqlglot tries several readings of some constructs, each of which tries several readings of what is nested in it: calls
of a type's name, `DATE(DATE(…))`, types, arrays, LIMIT in subqueries, joins without ON. What that costs doubles with
each level. So every text that is not our own is parsed by `parse_statements`, which counts the parser's steps.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from sqlglot import Dialect, ParseError, Token, TokenType, exp
from sqlglot.errors import SqlglotError

from myna.errors import MissingDependency, QueryError

if TYPE_CHECKING:
    from sqlglot.parsers.base import BaseParser

MAX_CHARACTERS = 100_000
MAX_TOKENS = 5_000  # about a tenth of a second of parsing
_MAX_SEMICOLONS = 1_000  # the tokenizer copies its tokens at each that a command follows
_MAX_ENDS_READ_ON = 50  # after each, sqlglot walks through all that the chain `x[1][2]` or `x.f().g()` holds so far
_STEPS_PER_END_READ_ON = 20
_MAX_CHARACTERS_OF_A_NAME = 1_000  # sqlglot looks for a type in each quoted name that stands where one can
_STEPS = 5_000  # about a tenth of a second
_STEPS_PER_TOKEN = 4  # the queries of Spider and WikiSQL take 1.1 on average and 2.9 at most
_CHARACTERS_PER_STEP = 8  # of one token: a format or JSON path in a long text is parsed as well

_BEGINNINGS = {TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.FROM}
_NO_KEYWORDS = {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}
_STATEMENTS = {
    *(
        "ABORT",
        "ANALYZE",
        "ATTACH",
        "CALL",
        "CHECKPOINT",
        "CLUSTER",
        "DEALLOCATE",
        "DECLARE",
        "DETACH",
        "DISCARD",
        "DO",
    ),
    *("EXECUTE", "EXPORT", "FLUSH", "HANDLER", "IMPORT", "INSTALL", "LISTEN", "LOAD", "LOCK", "NOTIFY", "OPTIMIZE"),
    *("PREPARE", "REINDEX", "RELEASE", "REPAIR", "RESET", "SAVEPOINT", "SHUTDOWN", "UNLISTEN", "VACUUM", "XA"),
}
_ENDS = {TokenType.R_PAREN, TokenType.R_BRACKET}
_READING_ON = {TokenType.L_BRACKET, TokenType.DOT}
_QUERIES = (exp.Query, exp.Values)
_NOT_READING: tuple[tuple[type[exp.Expr], str], ...] = (
    (exp.Into, "SELECT … INTO writes its rows somewhere"),
    (exp.Lock, "FOR UPDATE and FOR SHARE lock rows"),
    (exp.DML, "a part of it writes"),
    (exp.Create, "a part of it creates something"),
    (exp.Command, "a part of it is a command"),
)
_SUSPECTS = (*(kind for kind, _ in _NOT_READING), exp.CTE, exp.Placeholder)
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_LONG_RUN = re.compile(r"\s{100}|[0-9]{100}")  # on which sqlglot's pattern for intervals takes quadratic time
_MYSQL_CODE_IN_COMMENT = re.compile(r"/\*M?!")


class Steps:
    """How many steps the parser may still take: one for each token it goes to, either way, more for long ones.

    left: below zero when there were too few.
    """

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, before: Token, token: Token) -> None:
        """Count the step to `token`, which stands after `before`. Raises `QueryError` (refused) when none is left."""
        self.left -= 1 + len(token.text) // _CHARACTERS_PER_STEP
        if _reads_on(before, token):
            self.left -= _STEPS_PER_END_READ_ON
        if self.left < 0:
            raise _too_many_readings()


def parse_query(sql: str, dialect: str) -> exp.Expr:
    """Return `sql`, which must be one query, as sqlglot's tree.

    dialect: sqlglot's name. Raises `QueryError`: "syntax" when it can't be parsed, "refused" when it is not one query
    that only reads, or takes too long to be checked.
    """
    if bad := _NO_TEXT.search(sql):
        what = f"the character U+{ord(bad[0]):04X} at position {bad.start() + 1}"
        raise QueryError(f"not valid SQL: {what} can't stand in a text", "syntax")
    if dialect == "mysql" and _MYSQL_CODE_IN_COMMENT.search(sql):
        raise _refused("MySQL runs what stands in a /*! comment")
    language, tokens = _tokens(sql, dialect)
    _check_tokens(tokens)
    trees = _trees(language, tokens, sql, None)
    if len(trees) != 1:
        raise _refused(f"{len(trees)} statements where one is run")
    (tree,) = trees
    if not isinstance(tree, _QUERIES):
        raise _refused("it is not a query")
    for node in tree.walk():
        if isinstance(node, _SUSPECTS):
            _check_node(node)
    return tree


def parse_statements(sql: str, dialect: str, steps: Steps) -> list[exp.Expr]:
    """Return the trees of all statements in `sql`, of whatever kind.

    dialect: sqlglot's name. steps: what parsing may cost; what it does cost is taken from it. Raises `QueryError`:
    "syntax" when `sql` can't be parsed, "refused" when it is too long or takes too many steps.
    """
    if steps.left < 0:
        raise _too_many_readings()
    steps.left -= len(sql) // _CHARACTERS_PER_STEP
    language, tokens = _tokens(sql, dialect)
    return _trees(language, tokens, sql, steps)


def _tokens(sql: str, dialect: str) -> tuple[Dialect, list[Token]]:
    if len(sql) > MAX_CHARACTERS:
        raise _refused(f"it is {len(sql):,} characters long, at most {MAX_CHARACTERS:,} are run")
    if (semicolons := sql.count(";")) > _MAX_SEMICOLONS:
        raise _refused(f"it holds {semicolons:,} semicolons, at most {_MAX_SEMICOLONS:,} are read")
    language = Dialect.get_or_raise(dialect)
    try:
        tokens = language.tokenize(sql)
    except SqlglotError as error:
        raise QueryError(f"not valid SQL: {error}", "syntax") from None
    if len(tokens) > MAX_TOKENS:
        raise _refused(f"it has {len(tokens):,} words and signs, at most {MAX_TOKENS:,} are run")
    ends = sum(_reads_on(before, token) for before, token in pairwise(tokens))
    if ends > _MAX_ENDS_READ_ON:
        raise _refused(
            f'it goes on {ends:,} times after a bracket with "[" or ".", at most {_MAX_ENDS_READ_ON} are read'
        )
    kinds = {token.token_type for token in tokens}
    for token in tokens:
        if token.token_type == TokenType.IDENTIFIER and len(token.text) > _MAX_CHARACTERS_OF_A_NAME:
            raise _refused(f"it holds a name of {len(token.text):,} characters")
        if TokenType.INTERVAL in kinds and token.token_type == TokenType.STRING and _LONG_RUN.search(token.text):
            raise _refused("a text in a query with an INTERVAL holds a hundred spaces or digits in a row")
    return language, tokens


def _reads_on(before: Token, token: Token) -> bool:
    return token.token_type in _READING_ON and before.token_type in _ENDS


def _trees(language: Dialect, tokens: list[Token], sql: str, steps: Steps | None) -> list[exp.Expr]:
    """Parse `tokens` of `sql` in as many steps, by default as a query of this length may need."""
    allowed = _STEPS + _STEPS_PER_TOKEN * (len(tokens) + len(sql) // _CHARACTERS_PER_STEP)
    # The dialect and not the parser holds the count: for types in quotes it makes another parser.
    language.parser_class = _counting(language.parser_class)
    language.steps = steps or Steps(allowed)  # type: ignore[attr-defined]
    try:
        found = language.parser().parse(tokens, sql)
    except RecursionError:
        raise _refused("it is nested too deeply to be checked") from None
    except ParseError as error:
        raise QueryError(_where(error), "syntax") from None
    except SqlglotError as error:
        raise QueryError(f"not valid SQL: {error}", "syntax") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise QueryError(f"not valid SQL: sqlglot can't parse it ({error})", "syntax") from None
    return [tree for tree in found if tree is not None and not isinstance(tree, exp.Semicolon)]


@cache
def _counting(parser: type[BaseParser]) -> type[BaseParser]:
    """Return `parser` as a class that takes its steps from its dialect's `steps`."""
    try:

        class Counting(parser):  # type: ignore[valid-type, misc]
            def _advance(self, times: int = 1) -> None:
                super()._advance(times)
                if self._curr:
                    self.dialect.steps.take(self._prev, self._curr)

    except TypeError:  # "interpreted classes cannot inherit from compiled"
        raise MissingDependency(
            "sqlglot is installed with its compiled parts (the package sqlglotc), whose work can't be limited; remove "
            "them with: pip uninstall sqlglotc"
        ) from None
    return Counting


def _check_tokens(tokens: list[Token]) -> None:
    """Refuse by its words what need not or must not be parsed: sqlglot takes much for a command and prints warnings."""
    words = [token for token in tokens if token.token_type != TokenType.L_PAREN]
    first = words[0] if words else None
    if first is None or first.token_type == TokenType.SEMICOLON:
        raise QueryError("there is no statement; expected a query that begins with SELECT", "syntax")
    if first.token_type not in _BEGINNINGS:
        word = first.text.upper()[:40]
        if first.token_type in _NO_KEYWORDS and word not in _STATEMENTS:
            raise QueryError(f"not valid SQL: begins with {word!r}; expected a query that begins with SELECT", "syntax")
        raise _refused(f"{word} is not a query; only SELECT, WITH … SELECT and VALUES are run")
    if any(a.token_type == TokenType.REPLACE and b.token_type == TokenType.INTO for a, b in pairwise(words)):
        raise _refused("REPLACE INTO writes")
    semicolons = [place for place, token in enumerate(tokens) if token.token_type == TokenType.SEMICOLON]
    if semicolons and any(token.token_type != TokenType.SEMICOLON for token in tokens[semicolons[0] :]):
        raise _refused("more than one statement; only one is run")


def _check_node(node: exp.Expr) -> None:
    for kind, why in _NOT_READING:
        if isinstance(node, kind):
            raise _refused(why)
    if isinstance(node, exp.CTE) and not isinstance(node.this, _QUERIES):
        raise _refused("a WITH part of it is not a query")
    if isinstance(node, exp.Placeholder):
        raise QueryError(f"not valid SQL: the placeholder {node.sql()} has no value; write the value there", "syntax")


def _too_many_readings() -> QueryError:
    return _refused("there are too many ways to read it; nest its calls, types, arrays and joins less deeply")


def _refused(why: str) -> QueryError:
    return QueryError(f"refused: {why}", "refused")


def _where(error: ParseError) -> str:
    if not error.errors:
        return f"not valid SQL: {error}"
    found = error.errors[0]
    near = f', near "{found["highlight"]}"' if found.get("highlight") else ""
    return f"not valid SQL, line {found.get('line')}, column {found.get('col')}{near}: {found.get('description')}"
