"""The tables a question is about: one, or up to three joined along foreign keys.

The tables of a scope are a tree of many-to-one joins from its `finest` table, so that each row of the join is one row
of that table: what is counted and added up there is counted once. The question's `subject` may be any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.builders.database.query import ColumnOf, Join
from myna.builders.database.sampling.draw import Draw

_LINKS = {0: 0.44, 1: 0.34, 2: 0.22}


@dataclass(frozen=True)
class Scope:
    """Tables and joins in the order of FROM; the subject comes first."""

    subject: str
    finest: str
    joins: tuple[Join, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables, the subject first."""
        return (self.subject, *(join.pairs[0][1].table for join in self.joins))

    @property
    def linking(self) -> set[ColumnOf]:
        """The columns that the joins compare: what they say, the joined table says already."""
        return linking(self.joins)

    @property
    def fans_out(self) -> bool:
        """Whether a row of the subject can come several times."""
        return self.subject != self.finest

    @property
    def leaves(self) -> set[str]:
        """The joined tables that no other join hangs on: without a use of them a join would be idle."""
        return set(self.tables[1:]) - {join.pairs[0][0].table for join in self.joins}


def linking(joins: tuple[Join, ...]) -> set[ColumnOf]:
    """The columns that joins compare."""
    return {column for join in joins for pair in join.pairs for column in pair}


def alone(table: str) -> Scope:
    """The scope of one table."""
    return Scope(table, table)


def single(draw: Draw) -> Scope | None:
    """A scope of one table; None when there is no table to ask about."""
    return alone(draw.one(draw.tables)) if draw.tables else None


def any_scope(draw: Draw) -> Scope | None:
    """A scope of one to three tables."""
    links = draw.weighted(_LINKS)
    return (joined(draw, links) if links else None) or single(draw)


def joined(draw: Draw, links: int) -> Scope | None:
    """A scope of `links` joins, or as many as are found but one; None when no table refers to another."""
    if not draw.referring:
        return None
    finest = draw.one(draw.referring)
    tree: list[Join] = []
    while len(tree) < links:
        reached = [finest, *(join.pairs[0][1].table for join in tree)]
        further = [join for table in reached for join in draw.joins(table) if join.pairs[0][1].table not in reached]
        if not further:
            break
        tree.append(draw.one(further))
    bare = [join.pairs[0][1].table for join in tree]
    # A table that only links others is nobody's subject.
    telling = [
        table for table in (finest, *bare) if draw.columns([table], "name", "category", "measure", "text", "date")
    ]
    subject = draw.one(telling or [finest])
    return Scope(subject, finest, _from(subject, tree))


def reordered(scope: Scope, subject: str) -> Scope:
    """The same tables with another subject."""
    return Scope(subject, scope.finest, _from(subject, list(scope.joins)))


def _from(subject: str, tree: list[Join]) -> tuple[Join, ...]:
    """The joins, each from a table named before to a new one."""
    named, waiting, ordered = {subject}, list(tree), []
    while waiting:
        for join in waiting:
            left, right = join.pairs[0][0].table, join.pairs[0][1].table
            if left in named or right in named:
                turned = join if left in named else Join(tuple((b, a) for a, b in join.pairs), join.inferred)
                ordered.append(turned)
                named |= {left, right}
                waiting.remove(join)
                break
    return tuple(ordered)
