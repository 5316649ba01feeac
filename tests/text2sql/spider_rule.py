"""Spider's exact set match and hardness, written a second time: from the published structure, on tokens, in one pass.

Reads the SQL that Spider's own queries are made of (no column aliases, one set operation after another, no brackets
around conditions) and raises `UnreadableError` for anything else. Nothing here comes from `myna.text2sql`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

AGGREGATES = ("max", "min", "count", "sum", "avg")
CLAUSES = ("select", "from", "where", "group", "having", "order", "limit", "intersect", "union", "except")
OPERATORS = ("between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is")
TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[<>!]=|\d+\.\d+|[\w.]+|\S""")


class UnreadableError(Exception):
    """The query is not of Spider's own kind, or names what its database does not have."""


class Reader:
    """One query as tokens, and a place in them."""

    def __init__(self, sql: str, columns: Mapping[str, Sequence[str]]):
        self.words = [word if word[0] in "\"'" else word.lower() for word in TOKEN.findall(sql.strip().rstrip(";"))]
        self.columns = {table.lower(): [name.lower() for name in names] for table, names in columns.items()}
        self.at = 0

    @property
    def next(self):
        return self.words[self.at] if self.at < len(self.words) else ""

    def take(self, *wanted):
        word = self.next
        if wanted and word not in wanted:
            raise UnreadableError(f"{word!r} where {wanted} belongs")
        self.at += 1
        return word

    def took(self, word):
        if self.next == word:
            self.at += 1
            return True
        return False

    def query(self, outer=()):
        """select (distinct, [(aggregate, unit)]), from (tables, conditions), where, …, in the order of the text."""
        bracket = self.took("(")
        begin = self.at
        self.skip_to_from()
        tables, on, names = self.from_clause(outer)
        end, self.at = self.at, begin
        scope = (names, *outer)
        self.take("select")
        found = {"distinct": self.took("distinct"), "select": [self.selected(scope)], "tables": tables, "on": on}
        while self.took(","):
            found["select"].append(self.selected(scope))
        self.take("from")
        self.at = end
        found["where"] = self.conditions(scope) if self.took("where") else []
        found["group"] = self.listed(scope) if self.took("group") else []
        found["having"] = self.conditions(scope) if self.took("having") else []
        found["order"], found["direction"] = self.ordered(scope) if self.took("order") else ([], "")
        found["limit"] = bool(self.took("limit") and self.take())
        if bracket:
            self.take(")")
        found["operation"] = self.take() if self.next in ("union", "intersect", "except") else ""
        found["operand"] = self.query(outer) if found["operation"] else None
        return found

    def skip_to_from(self):
        depth = 0
        while self.next and not (self.next == "from" and depth == 0):
            depth += {"(": 1, ")": -1}.get(self.take(), 0)
        self.take("from")

    def from_clause(self, outer):
        tables, names, on = [], {}, []
        while True:
            if self.next == "(":
                self.take("(")
                tables.append(("query", freeze(self.query(outer))))
                names[f"({len(tables)})"] = None
                self.take(")")
            else:
                table = self.take()
                if table not in self.columns:
                    raise UnreadableError(f"no table {table}")
                names[self.take() if self.took("as") else table] = table
                tables.append(table)
            if self.took("on"):
                on += (["and"] if on else []) + self.conditions((names, *outer))
            if not self.took("join"):
                return tables, on, names

    def column(self, scope):
        word = self.take()
        if word == "*":
            return "*"
        table, dot, name = word.rpartition(".")
        for names in scope:
            if dot and table in names:
                if names[table] is not None and name not in self.columns[names[table]]:
                    break
                return f"{names[table] or ''}.{name}"
            for candidate in [] if dot else names.values():
                if candidate and name in self.columns[candidate]:
                    return f"{candidate}.{name}"
        raise UnreadableError(f"no column {word}")

    def unit(self, scope):
        """A column or an aggregate of one, or arithmetic of two of these."""
        bracket = self.took("(")
        left = self.operand(scope)
        if self.next in ("-", "+", "*", "/"):
            left = (self.take(), left, self.operand(scope))
        if bracket:
            self.take(")")
        return left

    def operand(self, scope):
        aggregate = self.take() if self.next in AGGREGATES and self.words[self.at + 1 : self.at + 2] == ["("] else ""
        bracket = self.took("(")
        distinct = self.took("distinct")
        found = (aggregate, distinct, self.column(scope))
        if bracket:
            self.take(")")
        return found

    def selected(self, scope):
        unit = self.unit(scope)
        return (unit[0], ("", *unit[1:])) if unit[0] in AGGREGATES else ("", unit)

    def listed(self, scope):
        self.take("by")
        found = [self.unit(scope)]
        while self.took(","):
            found.append(self.unit(scope))
        return found

    def ordered(self, scope):
        self.take("by")
        found, direction = [self.unit(scope)], "asc"
        while True:
            if self.next in ("asc", "desc"):
                direction = self.take()
            if not self.took(","):
                return found, direction
            found.append(self.unit(scope))

    def conditions(self, scope):
        found = [self.condition(scope)]
        while self.next in ("and", "or"):
            found += [self.take(), self.condition(scope)]
        return found

    def condition(self, scope):
        unit = self.unit(scope)
        negated = self.took("not")
        operator = self.take(*OPERATORS)
        values = [self.value(scope)]
        if operator == "between":
            self.take("and")
            values.append(self.value(scope))
        return (negated, operator, unit, tuple(values))

    def value(self, scope):
        """A nested query counts; every other value is None."""
        if self.next == "(" and self.words[self.at + 1] == "select":
            self.take("(")
            found = freeze(self.query(scope))
            self.take(")")
            return found
        if self.next[:1] in "\"'" or re.fullmatch(r"[\d.]+", self.next):
            self.take()
        else:
            self.unit(scope)
        return None


def freeze(value):
    """Make what was read hashable, as it was written."""
    if isinstance(value, dict):
        return tuple((name, freeze(part)) for name, part in value.items())
    return tuple(map(freeze, value)) if isinstance(value, list | tuple) else value


def equal_columns(schema):
    """Column → the first of the columns that foreign keys make equal to it."""
    order = [f"{table.name}.{column.name}".lower() for table in schema.tables for column in table.columns]
    groups = []
    for table in schema.tables:
        for key in table.foreign_keys:
            pair = {f"{table.name}.{key.columns[0]}".lower(), f"{key.table}.{key.referenced_columns[0]}".lower()}
            for group in [group for group in groups if group & pair]:
                pair |= group
                groups.remove(group)
            groups.append(pair)
    return {name: min(group, key=order.index) for group in groups for name in group}


def settle(query, equal, tables=None):
    """Leave out DISTINCT and name columns of equal meaning alike: what the published rule does before it compares."""
    tables = tables if tables is not None else {table for table in query["tables"] if isinstance(table, str)}

    def settled(part):
        if isinstance(part, str):
            return equal.get(part, part) if part.partition(".")[0] in tables else part
        if isinstance(part, tuple) and len(part) == 3 and isinstance(part[1], bool):
            return (part[0], False, settled(part[2]))
        return (part[0], settled(part[1]), settled(part[2]))

    def condition(item):
        return item if isinstance(item, str) else (item[0], item[1], settled(item[2]), item[3])

    found = dict(query, distinct=False, select=[(name, settled(unit)) for name, unit in query["select"]])
    for clause in ("on", "where", "having"):
        found[clause] = [condition(item) for item in query[clause]]
    for clause in ("group", "order"):
        found[clause] = [settled(unit) for unit in query[clause]]
    found["operand"] = query["operand"] and settle(query["operand"], equal, tables)
    return found


def keywords(query):
    items = query["on"][::2] + query["where"][::2] + query["having"][::2]
    words = {word for word in ("where", "group", "having", "order", "limit") if query[word]}
    words |= {query["direction"], query["operation"]} - {""}
    words |= {"or"} & {*query["on"][1::2], *query["where"][1::2], *query["having"][1::2]}
    words |= {"not" for item in items if item[0]} | {item[1] for item in items if item[1] in ("in", "like")}
    return words


def alike(gold, predicted):
    if (gold["operand"] is None) != (predicted["operand"] is None):
        return False
    if gold["operand"] and not alike(gold["operand"], predicted["operand"]):
        return False
    lists = ["group", "direction", "order", "operation"] + (["having"] if gold["group"] or predicted["group"] else [])
    return (
        all(gold[name] == predicted[name] for name in lists)
        and (not gold["order"] or gold["limit"] == predicted["limit"])
        and Counter(gold["select"]) == Counter(predicted["select"])
        and Counter(gold["where"][::2]) == Counter(predicted["where"][::2])
        and {*gold["where"][1::2]} == {*predicted["where"][1::2]}
        and Counter(gold["tables"]) == Counter(predicted["tables"])
        and keywords(gold) == keywords(predicted)
    )


def read(sql, schema):
    """Return the query as read. Raises `UnreadableError`."""
    reader = Reader(sql, {table.name: [column.name for column in table.columns] for table in schema.tables})
    found = reader.query()
    if reader.next:
        raise UnreadableError(f"{reader.next!r} after the end")
    return found


def match(gold, sql, schema):
    """Whether `sql` matches the query `gold` that was read."""
    equal = equal_columns(schema)
    try:
        predicted = read(sql, schema)
    except UnreadableError:
        return False
    return alike(settle(gold, equal), settle(predicted, equal))


def level(query):
    """Hardness of a query that was read."""
    items = query["on"][::2] + query["where"][::2] + query["having"][::2]
    connectors = query["on"][1::2] + query["where"][1::2] + query["having"][1::2]
    first = sum(bool(query[name]) for name in ("where", "group", "order", "limit")) + len(query["tables"]) - 1
    first += connectors.count("or") + sum(item[1] == "like" for item in items)
    second = sum(value is not None for item in items for value in item[3]) + bool(query["operand"])
    aggregates = sum(bool(name) for name, _ in query["select"]) + sum(
        unit[0] in AGGREGATES
        for whole in query["group"] + query["order"]
        for unit in (whole[1:] if whole[0] in ("-", "+", "*", "/") else [whole])
    )
    aggregates += sum(item[0] for item in query["where"][::2] + query["having"][::2]) + len(query["having"][1::2])
    third = sum(n > 1 for n in (aggregates, len(query["select"]), len(query["where"][::2]), len(query["group"])))
    if first <= 1 and second == third == 0:
        return "easy"
    if second == 0 and ((third <= 2 and first <= 1) or (third <= 1 and first == 2)):
        return "medium"
    if second == 0 and ((third > 2 and first <= 2) or (third <= 2 and first == 3)):
        return "hard"
    return "hard" if first <= 1 and third == 0 and second == 1 else "extra"
