"""Queries in Chinese: natural, with their measure words, and never of a form of the other side."""

from __future__ import annotations

import random
import re

import pytest

from article_questions import article_questions
from myna.builders.database.chinese import forms
from myna.builders.database.glossary import ColumnGlossary, Glossary, TableGlossary
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.phrasing import phrasings
from myna.builders.database.profile import Profile
from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Between,
    ColumnOf,
    Comparison,
    DatePart,
    Having,
    InQuery,
    Matches,
    Missing,
    OneOf,
    Order,
    Query,
    Rows,
    SetOperation,
    Where,
)
from myna.builders.database.sampling import sample_queries
from question_school import (
    SIDES,
    TO_SCHOOL,
    all_forms,
    said,
    school,
    school_lexicon,
    school_profile,
    student,
    students_where,
)

COUNT = Aggregate("count", Rows("students"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return school_profile(tmp_path_factory.mktemp("school"))


@pytest.fixture(scope="module")
def lexicon(found: Profile) -> Lexicon:
    return school_lexicon(found)


def ways(query: Query, lexicon: Lexicon, *, count: int = 300) -> set[str]:
    """All that is said of a query with many seeds, on both sides."""
    spoken = (said(query, lexicon, "zh", side, seed) for side in SIDES for seed in range(count))
    return {each.text for each in spoken if each}


@pytest.mark.parametrize(("question", "query"), [(each.chinese, each.query) for each in article_questions()])
def test_the_questions_of_the_articles_are_among_ours(question: str, query: Query, lexicon: Lexicon) -> None:
    assert question in ways(query, lexicon, count=2000)


CASES = [
    (Query((student("Name"), school("City")), "students", (TO_SCHOOL,)), "姓名和学校城市"),
    (Query((Aggregate("avg", student("Age")),), "students"), "学生平均年龄"),
    (students_where(Comparison(student("Age"), ">", 14), select="Age"), "学生的年龄"),
    (students_where(Comparison(student("Height"), ">", 170)), "身高超过170的学生"),
    (students_where(Comparison(student("Age"), "<", 14)), "年龄小于14岁的学生"),
    (students_where(Between(student("Age"), 13, 15)), "年龄在13到15岁之间的学生"),
    (students_where(Matches(student("Name"), "begins", "王")), "姓名以“王”开头的学生"),
    (students_where(Missing(student("phone_number"))), "没有电话号码的学生"),
    (students_where(OneOf(student("Age"), (12, 13))), "年龄是12"),
    (students_where(Comparison(student("Grade"), "=", 9)), "九年级的学生"),
    (students_where(Comparison(student("Grade"), "<>", 9)), "不在九年级的学生"),
    (students_where(DatePart(student("dateOfBirth"), "year", "=", 2010)), "出生日期在2010年"),
    (students_where(DatePart(student("dateOfBirth"), "month", "=", 3, of=2010)), "出生日期在2010年3月"),
    (students_where(DatePart(student("dateOfBirth"), "month", "=", 3, of=2010)), "2010年3月出生的学生"),
    (students_where(Comparison(student("dateOfBirth"), "<", "2010-03-04")), "出生日期早于2010年3月4日"),
    (
        students_where(AgainstAggregate(student("Height"), ">", Aggregate("avg", student("Height")))),
        "身高高于所有学生的平均身高的学生",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("Height"), True),), limit=3),
        "最高的三名学生",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("Age"), False),), limit=2),
        "年龄最小的两名学生",
    ),
    (Query((student("Name"),), "students", order_by=(Order(student("Age"), True),)), "，按年龄从大到小排序"),
    (Query((COUNT,), "students"), "有多少名学生？"),
    (
        Query((student("School"), COUNT), "students", group_by=(student("School"),)),
        "每所学校有多少名学生？",
    ),
    (
        Query((school("Name"),), "students", (TO_SCHOOL,), None, (school("SchoolID"),), Having(COUNT, ">", 3)),
        "哪些学校有超过3名学生？",
    ),
    (
        Query((student("Name"),), "students", (TO_SCHOOL,), Where((Comparison(school("City"), "=", "Beijing"),))),
        "学校在Beijing的学生",
    ),
    (
        Query(
            (school("Name"),),
            "schools",
            where=Where((InQuery(school("SchoolID"), Query((student("school_id"),), "students"), negated=True),)),
        ),
        "没有学生的学校",
    ),
    (
        Query(
            (student("School"),),
            "students",
            where=Where((Comparison(student("Age"), ">", 14),)),
            set_operation=SetOperation("except", students_where(Comparison(student("Grade"), "=", 8), select="School")),
        ),
        "，但不包括",
    ),
    (
        Query(
            (ColumnOf("cars", "model"),), "cars", where=Where((Comparison(ColumnOf("cars", "maxSpeedKmh"), ">", 120),))
        ),
        "最高速度超过120公里/小时的汽车",
    ),
    (
        Query((ColumnOf("cars", "model"),), "cars", order_by=(Order(ColumnOf("cars", "price"), False),), limit=1),
        "最便宜的汽车",
    ),
]


@pytest.mark.parametrize(("query", "words"), CASES, ids=[words for _, words in CASES])
def test_it_is_said_as_people_say_it(query: Query, words: str, lexicon: Lexicon) -> None:
    assert any(words in question for question in ways(query, lexicon)), sorted(ways(query, lexicon))[:20]


def test_names_of_a_glossary_are_used_and_what_nobody_knows_stays(found: Profile) -> None:
    named = ColumnGlossary(("年级",), {"9": ("初三",)})
    lexicon = school_lexicon(found, Glossary({"students": TableGlossary(("同学",), {"Grade": named})}))
    said = ways(students_where(Comparison(student("Grade"), "=", 9)), lexicon)
    assert any("初三的同学" in each or "年级为初三的同学" in each for each in said)
    assert any(each.endswith("初三的值是9。") for each in said)
    staff = Query((school("numOfStaff"),), "schools")
    assert any("员工人数" in each or "员工数量" in each for each in ways(staff, lexicon))


def test_no_form_belongs_to_both_sides_and_each_side_has_some() -> None:
    def plain(form: str) -> str:
        return re.sub(r"\W+", "", re.sub(r"\{\w+\}", "X", form))

    for each in all_forms(vars(forms)):
        train, test = ({plain(form) for form in each.of(side)} for side in ("train", "test"))
        assert train
        assert test
        # "{c}>{v}" is nothing but its sign.
        assert not (train & test) - {"XX"}


def test_a_form_of_testing_compares_in_words_that_training_has_in_others() -> None:
    compared = {"IS", "TEXT_IS", "DATE_IS", "YEAR_IS", "BETWEEN", "AVERAGE", "COUNT_IS", "ONE_OF"}

    def characters(form: str) -> set[str]:
        return set(re.sub(r"\{\w+\}|\W", "", form)) | set(re.findall("[<>]", form))

    told = {one for each in all_forms(vars(forms)) for form in each.train for one in characters(form)}
    for each in all_forms({name: value for name, value in vars(forms).items() if name in compared}):
        assert {one for form in each.test for one in characters(form)} <= told


def test_no_form_of_a_test_question_is_in_a_training_question(found: Profile, lexicon: Lexicon) -> None:
    used: dict[str, set[str]] = {"train": set(), "test": set()}
    for number, query in enumerate(sample_queries(found, seed=3, count=300)):
        for side in SIDES:
            phrasing = said(query, lexicon, "zh", side, number)
            if phrasing:
                used[side] |= set(phrasing.forms)
                assert phrasing.forms
    assert len(used["train"]) > 50
    assert len(used["test"]) > 40
    assert not used["train"] & used["test"]


def test_most_sampled_queries_can_be_said_and_read_as_sentences(found: Profile, lexicon: Lexicon) -> None:
    queries = list(sample_queries(found, seed=5, count=300))
    spoken = [said(query, lexicon, "zh", "train", 7) for query in queries]
    questions = [each.text for each in spoken if each]
    assert len(questions) > 0.85 * len(queries)
    for question in questions:
        assert not re.search(r"的的|的，|，，|  | [，。？]|[{}\x1f]|[，、]$", question), question


def test_the_same_seed_gives_the_same_question_and_several_are_different(lexicon: Lexicon) -> None:
    query = students_where(Comparison(student("Age"), ">", 14), Comparison(student("Height"), ">", 160))
    first, second = (phrasings(query, lexicon, "zh", side="test", random=random.Random(4), count=5) for _ in range(2))
    assert first == second
    assert len({each.text for each in first}) == 5
    assert len({each.forms[0] for each in first}) >= 4
