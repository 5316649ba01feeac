"""Rows in Chinese: "身高超过170厘米且学校在北京的学生".

`Things` in, noun phrases out. Knows no sentences.
"""

from __future__ import annotations

from dataclasses import dataclass

from myna.builders.database.chinese.conditions import Clause, Conditions, bare, spaced
from myna.builders.database.choice import Chooser
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.query import ColumnOf, InQuery
from myna.builders.database.reading import Located, Path, Things, inner_things, table_of
from myna.builders.database.words import is_chinese


class Unsayable(Exception):  # noqa: N818 – it tells of no error
    """There is no natural way to say a part of the query. Never leaves `say`."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun phrase in two parts: the conditions, up to 的, and the noun, so that more may stand between."""

    clauses: str
    head: str
    measure: str
    place: str | None = None
    """The only condition, where it says where the things are."""

    @property
    def text(self) -> str:
        """Conditions and noun."""
        return f"{self.clauses}{self.head}"


class Nouns:
    """Says rows."""

    def __init__(self, lexicon: Lexicon, chooser: Chooser, conditions: Conditions) -> None:
        self._lexicon = lexicon
        self._choose = chooser
        self._conditions = conditions

    def noun(self, things: Things) -> Noun:
        """Return rows with their conditions. Raises `Unsayable`."""
        words = self._lexicon.tables[things.table]
        head = spaced(self._choose.usual(words.chinese))
        chosen = [self._choose.one(self._clauses(each)) for each in things.conditions]
        said = [each.text for each in chosen]
        if things.owned is not None:
            said.append(f"有{self.noun(things.owned).text}")
        if not said:
            return Noun("", head, words.measure)
        place = chosen[0].text if len(said) == 1 and chosen and chosen[0].is_place else None
        return Noun(f"{self._joined(said, any_of=things.any)}的", head, words.measure, place)

    def everyone(self, table: str) -> str:
        """Return the noun of a table's rows."""
        return spaced(self._lexicon.tables[table].chinese[0])

    def related(self, path: Path) -> str:
        """Return what the rows at the end of a path are to those at its start: "课程的老师"."""
        return "".join(spaced(self._lexicon.relation(child, parent, "zh")) for child, parent in path)

    def of_other(self, path: Path, name: str) -> str:
        """Return a column of a related row: 学校名称, 学校的城市."""
        whose = self.related(path)
        if name.startswith(whose) or name == whose:
            return name
        return f"{whose}{name}" if _compound(path, name) else f"{whose}的{name}"

    def _clauses(self, located: Located) -> list[Clause]:
        condition = located.condition
        if isinstance(condition, InQuery):
            found = self._inner(condition)
        else:
            found = self._conditions.clauses(condition, self.everyone(table_of(condition)))
        if not found:
            raise Unsayable
        if not located.path:
            return found
        whose = self.related(located.path)
        return [_of_relation(whose, each, compound=len(located.path) == 1) for each in found]

    def _inner(self, condition: InQuery) -> list[Clause]:
        related = inner_things(condition, self._lexicon)
        if related is None:
            raise Unsayable
        how, things = related
        is_kind = self._lexicon.tables[things.table].is_person  # gymnasts are people; details are no schools
        if how == "has" and is_kind and self._lexicon.is_same(things.table, condition.column.table):
            return [Clause(f"{'不是' if condition.negated else '是'}{self.noun(things).text}", False)]
        if how == "has":
            return [Clause(f"{'没有' if condition.negated else '有'}{self.noun(things).text}", False)]
        if how == "is":
            whose = spaced(self._lexicon.relation(condition.column.table, things.table, "zh"))
            if not condition.negated and len(things.conditions) == 1 and things.owned is None:
                return [_of_relation(whose, each, compound=True) for each in self._clauses(things.conditions[0])]
            return [Clause(f"{whose}{'不' if condition.negated else ''}是{self.noun(things).text}", True)]
        selected = condition.query.select[0]
        if not isinstance(selected, ColumnOf):
            raise Unsayable
        name = self._conditions.column(condition.column)
        among = f"{self.noun(things).text}的{self._conditions.column(selected)}"
        return [Clause(f"{name}{'没有' if condition.negated else ''}出现在{among}中", True)]

    def _joined(self, clauses: list[str], *, any_of: bool) -> str:
        if len(clauses) == 1:
            return clauses[0]
        word = self._choose.one(("或", "或者") if any_of else ("且", "并且", "、"))
        if word == "、" and len(clauses) == 2:
            return "、".join(clauses)
        return f"{'、'.join(clauses[:-1])}{word if word != '、' else '且'}{clauses[-1]}"


def _compound(path: Path, name: str) -> bool:
    """Whether a related row's column reads as one noun, 部门预算: a chain of 的 is hard to follow."""
    return bare(name) in ("名称", "姓名", "ID", "编号") or (len(path) == 1 and is_chinese(name))


def _of_relation(whose: str, clause: Clause, *, compound: bool) -> Clause:
    if clause.of_column and clause.text.startswith(whose):
        return clause
    as_one = compound and is_chinese(whose) and is_chinese(clause.text[:1])
    joint = "的" if clause.of_column and not as_one else ""
    return Clause(f"{whose}{joint}{clause.text}", clause.of_column)
