"""SQL → its normal form: a tree in which spelling that changes nothing is gone.

Two queries with the same normal form are the same query but for names of aliases, letter case and quotes of
identifiers, the order of inner joins and of conditions, parentheses and the like. Not the other way round: queries
that mean the same may have different normal forms. Runs nothing and knows no database.
"""

from __future__ import annotations

from sqlglot import exp

from myna.databases.schema import Schema
from myna.errors import QueryError
from myna.text2sql.syntax import parse_query

_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.GT: exp.LT,
    exp.LT: exp.GT,
    exp.GTE: exp.LTE,
    exp.LTE: exp.GTE,
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
}


def same_tree(gold: str, predicted: str, dialect: str, schema: Schema | None = None) -> bool:
    """Tell whether two queries have the same normal form. What can't be parsed is the same as nothing."""
    trees = [normal_form(sql, dialect, schema) for sql in (gold, predicted)]
    return trees[0] is not None and trees[0] == trees[1]


def normal_form(sql: str, dialect: str, schema: Schema | None = None) -> exp.Expr | None:
    """Return the normal form of one query in sqlglot's `dialect`, None when it can't be parsed or is nested too deeply.

    With a schema, columns of joined tables that stand without a table's name are given theirs.
    """
    try:
        return _normal(parse_query(sql, dialect).copy(), schema)
    except (QueryError, RecursionError):
        return None


def _normal(tree: exp.Expr, schema: Schema | None) -> exp.Expr:
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
        identifier.set("quoted", False)
    tables = schema.tables if schema is not None else ()
    columns = {table.name.lower(): {column.name.lower() for column in table.columns} for table in tables}
    selects = list(tree.find_all(exp.Select))
    sources = {id(select): _Sources(select, columns) for select in selects}
    for column in list(tree.find_all(exp.Column)):
        _qualify(column, sources)
    for select in selects:
        _drop_source_aliases(select, sources[id(select)])
        _drop_projection_aliases(select)
    # The tree itself says what belongs together.
    bare: exp.Expr = tree.transform(_without_parentheses, copy=False)
    for select in bare.find_all(exp.Select):
        _fold_inner_joins(select)
    for node in reversed(list(bare.bfs())):  # children first: the order of a node's parts hangs on their own
        ordered = _ordered(node)
        if ordered is not node:
            node.replace(ordered)
    return bare


class _Sources:
    """The tables and subqueries that one SELECT reads, under the names it gives them."""

    def __init__(self, select: exp.Select, columns: dict[str, set[str]]) -> None:
        from_ = select.args.get("from_") or select.args.get("from")
        joins = select.args.get("joins") or []
        nodes = [each.this for each in (*([from_] if from_ is not None else []), *joins)]
        self.names: dict[str, str] = {}
        """Name that columns use → the name in the normal form."""
        self.columns: dict[str, set[str]] = {}
        for node in nodes:
            base = node.name if isinstance(node, exp.Table) else "subquery"
            count = sum(name == base or name.startswith(f"{base} ") for name in self.names.values())
            self.names[node.alias_or_name] = f"{base} {count + 1}" if count else base
            self.columns[node.alias_or_name] = columns.get(base, set()) if isinstance(node, exp.Table) else set()

    def owner(self, column: str) -> str | None:
        """Return the name, in the normal form, of the one source that can have this column."""
        if len(self.names) == 1:
            return next(iter(self.names.values()))
        owners = [name for name, columns in self.columns.items() if column in columns]
        return self.names[owners[0]] if len(owners) == 1 else None


def _qualify(column: exp.Column, sources: dict[int, _Sources]) -> None:
    """Give a column the name of its table; alias names are looked up outwards from the SELECT it stands in."""
    select = column.parent_select
    if not column.table:
        owner = sources[id(select)].owner(column.name) if id(select) in sources else None
        if owner is not None and not _is_projection_alias(column, select):
            column.set("table", exp.to_identifier(owner))
        return
    while select is not None:
        known = sources[id(select)].names if id(select) in sources else {}
        if column.table in known:
            column.set("table", exp.to_identifier(known[column.table]))
            return
        select = select.parent_select


def _is_projection_alias(column: exp.Column, select: exp.Expr | None) -> bool:
    if not isinstance(select, exp.Select):
        return False
    return any(isinstance(each, exp.Alias) and each.alias == column.name for each in select.expressions)


def _drop_source_aliases(select: exp.Select, sources: _Sources) -> None:
    from_ = select.args.get("from_") or select.args.get("from")
    for each in (*([from_] if from_ is not None else []), *(select.args.get("joins") or [])):
        name = sources.names[each.this.alias_or_name]
        bare = name.split(" ")[0]
        plain = isinstance(each.this, exp.Table) and name == bare
        each.this.set("alias", None if plain else exp.TableAlias(this=exp.to_identifier(name)))


def _drop_projection_aliases(select: exp.Select) -> None:
    """Put what an alias or a position stands for where ORDER BY, GROUP BY and HAVING use it."""
    named = {each.alias: each.this for each in select.expressions if isinstance(each, exp.Alias)}
    plain = [each.unalias() for each in select.expressions]
    for clause in ("group", "having", "order"):
        node = select.args.get(clause)
        if node is None:
            continue
        for column in list(node.find_all(exp.Column)):
            if not column.table and column.name in named and column.parent_select is select:
                column.replace(named[column.name].copy())
        for literal in list(node.find_all(exp.Literal)):
            holder = literal.parent
            by_place = isinstance(holder, exp.Group | exp.Ordered) and not literal.is_string
            place = literal.name if len(literal.name) <= len(str(len(plain))) else ""
            if by_place and place.isdecimal() and 0 < int(place) <= len(plain):
                literal.replace(plain[int(place) - 1].copy())
    select.set("expressions", plain)


def _without_parentheses(node: exp.Expr) -> exp.Expr:
    inner: exp.Expr = node.this if isinstance(node, exp.Paren) else node
    return inner


def _fold_inner_joins(select: exp.Select) -> None:
    """Make `FROM a JOIN b ON x WHERE y` and `FROM b, a WHERE y AND x` the same: sorted tables, one WHERE."""
    joins: list[exp.Join] = select.args.get("joins") or []
    from_ = select.args.get("from_") or select.args.get("from")
    if from_ is None or not joins or any(not _is_inner(join) for join in joins):
        return
    conditions = [join.args["on"] for join in joins if join.args.get("on") is not None]
    where = select.args.get("where")
    conditions += [where.this] if where is not None else []
    first, *others = sorted((from_.this, *(join.this for join in joins)), key=_text)
    from_.set("this", first)
    select.set("joins", [exp.Join(this=other) for other in others])
    if conditions:
        select.set("where", exp.Where(this=exp.and_(*conditions, copy=False, wrap=False)))


def _is_inner(join: exp.Join) -> bool:
    plain = not join.side and not join.method and not join.args.get("using")
    return plain and join.kind in ("", "INNER", "CROSS")


def _ordered(node: exp.Expr) -> exp.Expr:
    """Return the node with what has no order put into one order; its children have theirs already."""
    if isinstance(node, exp.Connector):
        if type(node.parent) is type(node):
            return node  # a part of a chain, which is put in order as a whole
        operands = sorted(_flattened(node), key=_text)
        result = operands[0]
        for operand in operands[1:]:
            result = type(node)(this=result, expression=operand)
        return result
    if type(node) in _MIRRORED:
        left, right = node.this, node.expression
        by_name = isinstance(node, exp.EQ | exp.NEQ) and isinstance(right, exp.Column) and _text(left) > _text(right)
        if isinstance(left, exp.Literal) or (isinstance(left, exp.Column) and by_name):
            return _MIRRORED[type(node)](this=right, expression=left)
    if isinstance(node, exp.In | exp.Group):
        node.set("expressions", sorted(node.expressions, key=_text))
    if isinstance(node, exp.Ordered):
        node.set("desc", bool(node.args.get("desc")))
        node.set("nulls_first", None)
    if isinstance(node, exp.Literal) and not node.is_string:
        node.set("this", _number(node.name))
    return node


def _flattened(chain: exp.Expr) -> list[exp.Expr]:
    """Return the operands of `a AND b AND c`, or of OR, from left to right."""
    operands = []
    left = [chain]
    while left:
        node = left.pop()
        if type(node) is type(chain):
            left += (node.expression, node.this)
        else:
            operands.append(node)
    return operands


def _text(node: exp.Expr) -> str:
    return node.sql(comments=False)


def _number(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
