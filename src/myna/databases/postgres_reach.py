"""What a query can make PostgreSQL run, found in its catalog before anything of the query is planned.

A read-only transaction does not stop a function that acts outside of it (files, other sessions, advisory locks), and
PostgreSQL calls functions in many places where the query's text shows none: in views and policies, as casts, operators
and domain checks, in aggregates, and already while it plans (a call with constant arguments, the expression of an
index). So before a query is planned, everything that it could reach is collected, with too much rather than too little:

- functions by the names that the query calls;
- relations by every name in the query, and from these on through the expressions that PostgreSQL evaluates when they
  are read: views, policies, index, partition and statistics expressions, virtual columns. They are stored as trees in
  which functions and operators stand by number (`pg_node_tree`), so nothing has to be guessed from names;
- operators, casts, domain checks and operator classes that somebody added to the server's own, where their type occurs
  in the query or in a relation that it reaches.

Refused is a function that is VOLATILE, or that neither the server nor an extension brought: those are the code of the
database's owner, which runs with the rights of whoever reads. The address may name functions to allow.

Runs in a session whose `search_path` is `pg_catalog` alone, or an operator of the owner's could stand in for `=` here.

Source: PostgreSQL's documentation, chapters 38.7 (volatility), 52 (system catalogs), 41.5 (rules and privileges).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from myna.databases.tokens import Token, names_in, words_after_dots, words_called
from myna.errors import QueryError

# VOLATILE in the catalog, but without an effect: their values change, nothing else does.
_HARMLESS = (
    *("random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp", "timeofday"),
    *("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "gen_random_bytes", "pg_is_in_recovery"),
    *("bernoulli", "system", "system_rows", "system_time"),  # TABLESAMPLE
    *("pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size", "pg_database_size"),
)
# Not VOLATILE in the catalog, but they run SQL given as text or in a view that is only named in a string, take a
# transaction number that is never given back, parse a type's name given as text, or can't be interrupted (libxml2).
_HARMFUL = (
    r"^(crosstab[234]?|connectby|txid_current|pg_current_xact_id|pg_input_is_valid|pg_input_error_info"
    r"|(array|domain|record|range|multirange)_(in|recv)|xpath.*|xslt.*|xmlexists|.*_to_xml.*|(table|query|cursor|schema|database)_to_xmlschema)$"
)
# What the grammar calls without a function of that name.
_HARMFUL_WORDS = frozenset({"xmltable"})
# Relations in which passwords stand, for superusers.
_SECRET = ("pg_authid", "pg_shadow", "pg_user_mapping", "pg_user_mappings", "pg_subscription")

_ADDED = "16384::pg_catalog.oid"  # FirstNormalObjectId in access/transam.h: below it is what the server brings

_SNAPSHOT = "SELECT pg_catalog.txid_current_snapshot()"
_MOST_VERDICTS = 1000
_REACHED = rf"""
WITH RECURSIVE reached (relation, inside) AS (
    -- inside: reached through a view of the server's own, which hides what is not for everybody
    SELECT c.oid, false FROM pg_catalog.pg_class c
    WHERE c.relname = ANY(%(names)s) AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
  UNION
    SELECT further.relation, r.inside OR r.relation < {_ADDED}
    FROM reached r, LATERAL (
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.relation
      UNION ALL
        SELECT found[1]::pg_catalog.oid FROM pg_catalog.pg_rewrite w, pg_catalog.pg_class v,
            pg_catalog.regexp_matches(w.ev_action::pg_catalog.text, ':relid (\d+)', 'g') found
        WHERE w.ev_class = r.relation AND v.oid = r.relation AND v.relkind = 'v'
      UNION ALL
        SELECT found[1]::pg_catalog.oid FROM pg_catalog.pg_policy p,
            pg_catalog.regexp_matches(p.polqual::pg_catalog.text, ':relid (\d+)', 'g') found
        WHERE p.polrelid = r.relation
    ) further (relation)
), relation (oid) AS (
    SELECT DISTINCT r.relation FROM reached r
), tree (text) AS (
    -- to_jsonb, because older servers lack some of these columns; a materialized view's rule is not run by reading
    SELECT w.ev_action::pg_catalog.text FROM relation r JOIN pg_catalog.pg_class v ON v.oid = r.oid
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid WHERE v.relkind = 'v'
  UNION ALL
    SELECT p.polqual::pg_catalog.text FROM relation r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
  UNION ALL
    SELECT pg_catalog.concat(i.indexprs, i.indpred)
    FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
    WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
    SELECT t.partexprs::pg_catalog.text
    FROM relation r JOIN pg_catalog.pg_partitioned_table t ON t.partrelid = r.oid
  UNION ALL
    SELECT pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM relation r JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = r.oid
  UNION ALL
    SELECT d.adbin::pg_catalog.text FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND pg_catalog.to_jsonb(a) ->> 'attgenerated' = 'v'
    JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
), kind (type) AS (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typname = ANY(%(names)s)
  UNION
    SELECT a.atttypid FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION
    SELECT found[1]::pg_catalog.oid
    FROM tree, pg_catalog.regexp_matches(tree.text, ':\w*type (\d+)', 'g') found
), type (oid) AS (
    SELECT kind.type FROM kind WHERE kind.type >= {_ADDED}
  UNION
    SELECT inner_type.oid FROM type, LATERAL (
        SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid = type.oid
      UNION ALL
        SELECT t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = type.oid
      UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
        WHERE t.oid = type.oid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
        SELECT found[1]::pg_catalog.oid FROM pg_catalog.pg_constraint c,
            pg_catalog.regexp_matches(c.conbin::pg_catalog.text, ':\w*type (\d+)', 'g') found
        WHERE c.contypid = type.oid
      UNION ALL
        SELECT g.rngsubtype FROM pg_catalog.pg_range g
        WHERE type.oid::pg_catalog.text IN (
            g.rngtypid::pg_catalog.text, pg_catalog.to_jsonb(g) ->> 'rngmultitypid')
    ) inner_type (oid)
    WHERE inner_type.oid >= {_ADDED}
), domain_check (type, function, kind) AS (
    SELECT c.contypid, found[2]::pg_catalog.oid, found[1] FROM pg_catalog.pg_constraint c,
        pg_catalog.regexp_matches(c.conbin::pg_catalog.text, ':(funcid|opno) (\d+)', 'g') found
    WHERE c.contypid <> 0::pg_catalog.oid AND EXISTS (SELECT FROM type WHERE type.oid = c.contypid)
), operator (oid) AS (
    SELECT found[1]::pg_catalog.oid
    FROM tree, pg_catalog.regexp_matches(tree.text, ':(?:opno|eqop|sortop) (\d+)', 'g') found
  UNION
    SELECT d.function FROM domain_check d WHERE d.kind = 'opno'
  UNION
    -- Of added operators, those whose sign stands in the query, and those that the grammar puts there by itself
    -- (IN, BETWEEN, LIKE, JOIN USING, CASE x WHEN …).
    SELECT o.oid FROM pg_catalog.pg_operator o
    WHERE o.oid >= {_ADDED} AND (pg_catalog.strpos(%(sql)s, o.oprname) > 0
        OR o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '~~', '!~~', '~~*', '!~~*', '~', '!~'))
      AND (o.oprleft < {_ADDED} AND o.oprright < {_ADDED}
        OR EXISTS (SELECT FROM type WHERE type.oid IN (o.oprleft, o.oprright)))
  UNION
    SELECT m.amopopr FROM pg_catalog.pg_amop m WHERE m.oid >= {_ADDED}
      AND (m.amoplefttype < {_ADDED} OR EXISTS (SELECT FROM type WHERE type.oid = m.amoplefttype))
), function (oid) AS (
    SELECT f.oid FROM pg_catalog.pg_proc f WHERE f.proname = ANY(%(called)s)
  UNION
    SELECT f.oid FROM pg_catalog.pg_proc f WHERE f.proname = ANY(%(dotted)s) AND f.pronargs - f.pronargdefaults <= 1
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute c WHERE c.attname = f.proname AND c.attnum > 0)
  UNION
    SELECT found[1]::pg_catalog.oid
    FROM tree, pg_catalog.regexp_matches(tree.text, ':(?:funcid|aggfnoid|winfnoid) (\d+)', 'g') found
  UNION
    SELECT d.function FROM domain_check d WHERE d.kind = 'funcid'
  UNION
    SELECT o.oprcode::pg_catalog.oid FROM operator JOIN pg_catalog.pg_operator o USING (oid)
  UNION
    SELECT c.castfunc FROM pg_catalog.pg_cast c WHERE c.oid >= {_ADDED}
      AND (c.castsource < {_ADDED} AND c.casttarget < {_ADDED}
        OR EXISTS (SELECT FROM type WHERE type.oid IN (c.castsource, c.casttarget)))
  UNION
    SELECT m.amproc::pg_catalog.oid FROM pg_catalog.pg_amproc m
    WHERE m.oid >= {_ADDED}
      AND (m.amproclefttype < {_ADDED} OR EXISTS (SELECT FROM type WHERE type.oid = m.amproclefttype))
), part (oid, whole) AS (
    SELECT f.oid, f.oid FROM function f
  UNION
    SELECT part.oid, a.aggfnoid::pg_catalog.oid FROM function f
    JOIN pg_catalog.pg_aggregate a ON a.aggfnoid::pg_catalog.oid = f.oid, pg_catalog.unnest(ARRAY[
        a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
        a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn]::pg_catalog.oid[]) part (oid)
), judged (name, is_own, changes) AS (
    SELECT n.nspname || '.' || f.proname,
        -- Functions in C are made by superusers alone, `internal` ones by them or by the server (of range types). An
        -- aggregate is what its parts are.
        f.oid >= {_ADDED} AND f.prokind <> 'a' AND l.lanname <> 'internal'
          AND NOT (member.is AND (l.lanname = 'c' OR o.rolsuper))
          AND NOT (n.nspname || '.' || f.proname) = ANY(%(allowed)s),
        f.proname ~ %(harmful)s OR f.provolatile = 'v'
          AND NOT (f.proname = ANY(%(harmless)s) AND (n.nspname = 'pg_catalog' OR member.is))
    FROM part CROSS JOIN LATERAL (
        SELECT p.* FROM pg_catalog.pg_proc p WHERE p.oid = part.oid OFFSET 0  -- by its index: these are few of 3,000
    ) f
    JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = f.prolang
    JOIN pg_catalog.pg_roles o ON o.oid = f.proowner,
    LATERAL (SELECT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = f.oid AND d.deptype = 'e'
    )) member ("is")
    WHERE f.prorettype <> ALL (ARRAY['pg_catalog.trigger', 'pg_catalog.event_trigger']::pg_catalog.regtype[])
)
SELECT 'changes', j.name FROM judged j WHERE j.changes
UNION ALL
SELECT 'own', j.name FROM judged j WHERE j.is_own
UNION ALL
SELECT 'secret', c.relname FROM reached r JOIN pg_catalog.pg_class c ON c.oid = r.relation
WHERE c.oid < {_ADDED} AND c.relname = ANY(%(secret)s) AND NOT r.inside
UNION ALL
SELECT 'changes', 'xmltable' FROM tree WHERE tree.text ~ '\{{TABLEFUNC (:functype 0 )?:ns_uris'
LIMIT 1
"""


class Reach:
    """The check, for one connection. Verdicts are kept while the catalog can't have changed.

    ask: sends a statement with its parameters and returns the first row, in a session whose search_path is pg_catalog.
    allowed: functions of the database's owner that the user trusts, as "schema.name".
    """

    def __init__(self, ask: Callable[[str, dict[str, Any]], Any], allowed: Sequence[str]) -> None:
        self._ask = ask
        self._allowed = list(allowed)
        self._snapshot = ""
        self._verdicts: dict[Hashable, tuple[str, str] | None] = {}

    def check(self, sql: str, tokens: list[Token]) -> None:
        """Raise `QueryError` ("refused") when `sql`, whose tokens these are, could reach what may do more than read."""
        called = words_called(tokens)
        if called & _HARMFUL_WORDS:
            raise _refused(min(called & _HARMFUL_WORDS))
        verdict = self._verdict(sql, names_in(tokens), called, words_after_dots(tokens), _signs(tokens))
        if verdict is None:
            return
        what, name = verdict
        if what == "secret":
            raise QueryError(f"{name} holds passwords, so it is not read", "refused")
        if what == "own":
            raise QueryError(
                f"the function {name} is code of this database's owner, which would run with your rights, so it is "
                f"not run; if you trust it, allow it in the database's address: ?functions={name}",
                "refused",
            )
        raise _refused(name.removeprefix("pg_catalog."))

    def _verdict(
        self, sql: str, names: set[str], called: set[str], dotted: set[str], signs: str
    ) -> tuple[str, str] | None:
        # Whoever changes the catalog takes a transaction number, and so another snapshot is seen after it.
        (snapshot,) = self._ask(_SNAPSHOT, {})
        if snapshot != self._snapshot or len(self._verdicts) >= _MOST_VERDICTS:
            self._snapshot = snapshot
            self._verdicts = {}
        key = (frozenset(names), frozenset(called), frozenset(dotted), signs)
        if key not in self._verdicts:
            self._verdicts[key] = self._ask(
                _REACHED,
                {
                    **{"sql": sql, "names": list(names), "called": list(called), "dotted": list(dotted)},
                    **{"allowed": self._allowed, "harmless": list(_HARMLESS), "harmful": _HARMFUL},
                    "secret": list(_SECRET),
                },
            )
        return self._verdicts[key]


def _signs(tokens: list[Token]) -> str:
    """Return all that an operator can be made of, in order: with the names, what the check asks of a query."""
    return " ".join(token.text for token in tokens if token.kind == "symbol")


def _refused(function: str) -> QueryError:
    return QueryError(
        f"the function {function} may do more than read, so it is not run "
        "(one of your own that PostgreSQL calls VOLATILE can be declared STABLE if it only reads)",
        "refused",
    )
