"""Pairs of queries for the agreement tests: Spider's gold, and what one mistake or one harmless change makes of it.

Works on tokens of the text, so that what comes out is written as Spider's own queries are. Knows neither our parser
nor our rules.
"""

import random
import re
from collections.abc import Mapping, Sequence

TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[<>!]=|[\w.]+|\S""")
CLAUSES = {"select", "from", "where", "group", "having", "order", "limit", "union", "intersect", "except"}
SET_OPERATIONS = ("union", "intersect", "except")
AGGREGATES = ("max", "min", "sum", "avg", "count")
OPERATORS = ("=", "!=", ">", "<", ">=", "<=")

Columns = Mapping[str, Sequence[str]]


def tokens(sql: str) -> list[str]:
    return TOKEN.findall(sql.rstrip("; "))


def depths(words: Sequence[str]) -> list[int]:
    depth, found = 0, []
    for word in words:
        depth -= word == ")"
        found.append(depth)
        depth += word == "("
    return found


def places(words: Sequence[str], *wanted: str, depth: int | None = None) -> list[int]:
    levels = depths(words)
    return [n for n, word in enumerate(words) if word.lower() in wanted and depth in (None, levels[n])]


def clause_end(words: Sequence[str], start: int) -> int:
    """Where the clause that begins at `start` ends: the next clause of its depth, or the bracket around it."""
    levels = depths(words)
    for n in range(start + 1, len(words)):
        if levels[n] < levels[start] or (levels[n] == levels[start] and words[n].lower() in CLAUSES):
            return n
    return len(words)


def without(words: Sequence[str], start: int, end: int) -> list[str]:
    return [*words[:start], *words[end:]]


def replaced(words: Sequence[str], at: int, *new: str) -> list[str]:
    return [*words[:at], *new, *words[at + 1 :]]


def split(words: Sequence[str], start: int, end: int, *separators: str) -> tuple[list[list[str]], list[str]]:
    """The items between separators of the same depth, and the separators. The AND of BETWEEN separates nothing."""
    items, between, levels, pending = [[]], [], depths(words), False
    for n in range(start, end):
        word = words[n].lower()
        pending = pending or (word == "between" and levels[n] == levels[start])
        if word in separators and levels[n] == levels[start] and not (word == "and" and pending):
            items.append([])
            between.append(words[n])
        else:
            pending = pending and not (word == "and" and levels[n] == levels[start])
            items[-1].append(words[n])
    return items, between


def mistakes(sql: str, columns: Columns, rng: random.Random) -> list[tuple[str, str]]:
    """(What is wrong, the query) for every kind of mistake that can be made in this query."""
    words = tokens(sql)
    found: list[tuple[str, list[str]]] = []

    def add(name: str, choices: Sequence[list[str]]) -> None:
        if choices:
            found.append((name, rng.choice(choices)))

    tops = places(words, "where")
    spans = [(at + 1, clause_end(words, at)) for at in tops]
    parted = [(start, end, *split(words, start, end, "and", "or")) for start, end in spans]
    dropped = []
    for start, end, items, between in parted:
        for n in range(len(items)):
            kept = [item for m, item in enumerate(items) if m != n]
            links = [link for m, link in enumerate(between) if m != max(n - 1, 0)]
            body = [word for m, item in enumerate(kept) for word in (*([links[m - 1]] if m else []), *item)]
            dropped.append([*words[: start if kept else start - 1], *body, *words[end:]])
    add("condition dropped", dropped)
    comparing = [n for n in places(words, *OPERATORS) if any(start <= n < end for start, end in spans)]
    add("operator", [replaced(words, n, rng.choice([o for o in OPERATORS if o != words[n]])) for n in comparing])
    literals = [n + 1 for n in comparing if n + 1 < len(words) and re.match(r"""['"\d]""", words[n + 1])]
    add("value", [replaced(words, n, "'other'" if words[n][0] in "\"'" else "7") for n in literals])
    add("and/or", [replaced(words, n, "or" if words[n].lower() == "and" else "and") for n in _connectors(words, spans)])
    add(
        "aggregate",
        [
            replaced(words, n, rng.choice([a for a in AGGREGATES[:4] if a != words[n].lower()]))
            for n in places(words, *AGGREGATES)
            if words[n + 1 : n + 2] == ["("] and words[n + 2] != "*"
        ],
    )
    known = {
        name.lower(): [other for other in names if other.lower() != name.lower()]
        for names in columns.values()
        for name in names
    }
    named = [
        (n, *word.rpartition("."))
        for n, word in enumerate(words)
        if word.rpartition(".")[2].lower() in known and word[0] not in "\"'"
    ]
    add(
        "column",
        [
            replaced(words, n, f"{table}{dot}{rng.choice(known[name.lower()])}")
            for n, table, dot, name in named
            if known[name.lower()]
        ],
    )
    add(
        "direction",
        [replaced(words, n, "asc" if words[n].lower() == "desc" else "desc") for n in places(words, "asc", "desc")],
    )
    for clause in ("order", "limit", "group", "having"):
        add(f"{clause} dropped", [without(words, n, clause_end(words, n)) for n in places(words, clause)])
    add("limit added", [[*words, "limit", "2"]] if not places(words, "limit") else [])
    add("limit value", [replaced(words, n + 1, "2") for n in places(words, "limit")])
    add(
        "order added",
        [[*words, "order", "by", words[1]]]
        if len(words) > 3 and words[2].lower() == "from" and not places(words, "order")
        else [],
    )
    add("distinct dropped", [without(words, n, n + 1) for n in places(words, "distinct")])
    add(
        "distinct added",
        [
            [*words[: n + 1], "distinct", *words[n + 1 :]]
            for n in places(words, "select")
            if words[n + 1].lower() != "distinct"
        ],
    )
    add("join dropped", [without(words, n, _join_end(words, n)) for n in places(words, "join")])
    tables = [
        n + 1 for n in places(words, "join", "from") if words[n + 1].lower() in {name.lower() for name in columns}
    ]
    add(
        "table",
        [
            replaced(words, n, rng.choice([t for t in columns if t.lower() != words[n].lower()]))
            for n in tables
            if len(columns) > 1
        ],
    )
    for n in places(words, *SET_OPERATIONS):
        add("set operation", [replaced(words, n, rng.choice([o for o in SET_OPERATIONS if o != words[n].lower()]))])
        add("set operation dropped", [words[:n]] if depths(words)[n] == 0 else [])
    add(
        "not added",
        [
            [*words[:n], "not", *words[n:]]
            for n in places(words, "in", "like", "between")
            if words[n - 1].lower() != "not"
        ],
    )
    add("not dropped", [without(words, n, n + 1) for n in places(words, "not")])
    items, _ = split(words, 1, clause_end(words, 0), ",")
    if len(items) > 1:
        kept = rng.sample(items, len(items))[1:]
        add("selected dropped", [["select", *_joined(kept), *words[clause_end(words, 0) :]]])
    return [(name, " ".join(query)) for name, query in found]


def harmless(sql: str, rng: random.Random) -> list[tuple[str, str]]:
    """(What differs, the query) for every change that alters nothing."""
    words = tokens(sql)
    found = [("white space", "  ".join(words).replace(" , ", ",")), ("case", " ".join(_case(words, rng)))]
    if "T1" in sql.upper():
        found.append(("alias", " ".join(re.sub(r"(?i)^T(\d)", r"alias\1", word) for word in words)))
    items, _ = split(words, 1, clause_end(words, 0), ",")
    if len(items) > 1 and items[0][0].lower() != "distinct" and not places(words, *SET_OPERATIONS, depth=0):
        found.append(("select order", " ".join(["select", *_joined(items[::-1]), *words[clause_end(words, 0) :]])))
    for at in places(words, "where", depth=0)[:1]:
        end = clause_end(words, at)
        items, between = split(words, at + 1, end, "and", "or")
        if between and {link.lower() for link in between} == {"and"}:
            body = [word for m, item in enumerate(items[::-1]) for word in (*(["and"] if m else []), *item)]
            found.append(("condition order", " ".join([*words[: at + 1], *body, *words[end:]])))
    return found


def _connectors(words: Sequence[str], spans: Sequence[tuple[int, int]]) -> list[int]:
    found = []
    for start, end in spans:
        at = start
        for item in split(words, start, end, "and", "or")[0][:-1]:
            at += len(item)
            found.append(at)
            at += 1
    return found


def _join_end(words: Sequence[str], start: int) -> int:
    end = clause_end(words, start)
    return next((n for n in places(words, "join") if start < n < end), end)


def _joined(items: Sequence[Sequence[str]]) -> list[str]:
    return [word for n, item in enumerate(items) for word in (*([","] if n else []), *item)]


def _case(words: Sequence[str], rng: random.Random) -> list[str]:
    return [word if word[0] in "\"'" else rng.choice([word.upper(), word.lower(), word]) for word in words]
