"""Writes the databases of the demo as SQL text: `students.sql` and `birds.sql` in `src/myna/starter/databases/`.

Everybody and everything in them is made up, but for the birds. The same script writes the same bytes everywhere: all
that is drawn comes from `random.Random.random`, whose numbers Python promises not to change.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

FOLDER = Path(__file__).resolve().parent.parent / "src" / "myna" / "starter" / "databases"
SEED = 20240229
STUDENTS = 300
MEMBERS = 36
SIGHTINGS = 420
ROWS_A_STATEMENT = 50

T = TypeVar("T")
Row = tuple[object, ...]

FAMILY_NAMES = "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun Hu Zhu Gao Lin He Guo Ma Luo Liang Song"
GIVEN_NAMES = (
    "Junjian Wei Fang Na Min Jing Lei Qiang Yang Yan Jie Juan Tao Ming Chao Xiuying Xia Ping Gang Guiying Hao Yu "
    "Xinyi Zihan Yuxuan Haoran Yichen Ruoxi Mengyao Jiayi Zixuan Siyuan Tianyu Wenjing Xiaoming Yawen Zhihao Lihua"
)
SCHOOLS = (
    "Zhicheng High School",
    "Red Star High School",
    "Riverside School",
    "Mingde Middle School",
    "Experimental High School",
    "Number One High School",
    "Sunshine School",
    "East Lake High School",
)
STUDENTS_TABLE = """\
CREATE TABLE students (
    Name TEXT NOT NULL,
    Age INTEGER NOT NULL,
    School TEXT NOT NULL,
    Grade INTEGER NOT NULL,
    Height REAL NOT NULL,
    Weight REAL NOT NULL
);
"""
HEADING_STUDENTS = "-- Students of eight schools, all made up. Height in centimetres, weight in kilograms.\n"

FIRST_NAMES = (
    "Ada Boris Carla Dmitri Elena Farid Greta Hugo Ines Jonas Keiko Lars Mira Nadia Oskar Paula Quentin Rosa Stefan "
    "Tamar Ulrike Viktor Wanda Yusuf"
)
LAST_NAMES = "Albrecht Bianchi Costa Dubois Eriksen Fischer Garcia Horvat Ivanova Jansen Kovacs Larsen Meyer"
CITIES = ("Bergen", "Gdansk", "Lisbon", "Trieste", "Utrecht", "Valencia")
PLACES = ("Heron Marsh", "North Beach", "Old Quarry", "Mill Pond", "City Park", "Pine Ridge", "Salt Lagoon")
BIRDS = (
    # name, family, wingspan in centimetres
    ("Common Myna", "starlings", 44),
    ("Crested Myna", "starlings", 45),
    ("European Starling", "starlings", 40),
    ("Barn Swallow", "swallows", 33),
    ("Sand Martin", "swallows", 27),
    ("White Wagtail", "wagtails", 28),
    ("Grey Wagtail", "wagtails", 26),
    ("Mallard", "ducks", 90),
    ("Eurasian Teal", "ducks", 61),
    ("Tufted Duck", "ducks", 70),
    ("Greylag Goose", "ducks", 160),
    ("Mute Swan", "ducks", 220),
    ("Grey Heron", "herons", 185),
    ("Little Egret", "herons", 92),
    ("Great Bittern", "herons", 130),
    ("White Stork", "storks", 195),
    ("Black Stork", "storks", 150),
    ("Common Buzzard", "hawks", 120),
    ("Red Kite", "hawks", 185),
    ("Sparrowhawk", "hawks", 65),
    ("White-tailed Eagle", "hawks", 230),
    ("Common Kestrel", "falcons", 75),
    ("Peregrine Falcon", "falcons", 105),
    ("Barn Owl", "owls", 85),
    ("Tawny Owl", "owls", 98),
    ("Eurasian Eagle-Owl", "owls", 170),
    ("Common Kingfisher", "kingfishers", 25),
    ("Green Woodpecker", "woodpeckers", 51),
    ("Great Spotted Woodpecker", "woodpeckers", 38),
    ("Eurasian Jay", "crows", 55),
    ("Common Magpie", "crows", 58),
    ("Common Raven", "crows", 130),
    ("Great Tit", "tits", 24),
    ("Blue Tit", "tits", 19),
    ("House Sparrow", "sparrows", 23),
    ("Northern Lapwing", "plovers", 84),
)
BIRDS_TABLES = """\
CREATE TABLE members (
    member_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    city TEXT NOT NULL,
    joined_on DATE NOT NULL
);
CREATE TABLE birds (
    bird_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    family TEXT NOT NULL,
    wingspan_cm INTEGER NOT NULL
);
CREATE TABLE sightings (
    sighting_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL REFERENCES members (member_id),
    bird_id INTEGER NOT NULL REFERENCES birds (bird_id),
    seen_on DATE NOT NULL,
    place TEXT NOT NULL,
    number_of_birds INTEGER NOT NULL
);
"""
HEADING_BIRDS = "-- A bird-watching club: its members, birds with their wingspan, and who saw which where and when.\n"


def main() -> None:
    write(FOLDER)


def write(folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "students.sql").write_text(students(), encoding="utf-8", newline="\n")
    (folder / "birds.sql").write_text(birds(), encoding="utf-8", newline="\n")


def students() -> str:
    chance = random.Random(SEED)
    names = shuffled([f"{family} {given}" for family in FAMILY_NAMES.split() for given in GIVEN_NAMES.split()], chance)
    names = [name for name in names if name != "Wang Junjian"][: STUDENTS - 1]
    rows = [student(name, chance) for name in names]
    rows.insert(117, ("Wang Junjian", 15, "Zhicheng High School", 9, 172.5, 61.0))
    return HEADING_STUDENTS + STUDENTS_TABLE + "".join(inserts("students", rows))


def student(name: str, chance: random.Random) -> Row:
    grade = 7 + drawn(range(6), chance)
    age = grade + 5 + drawn((0, 1, 1, 1, 2), chance)
    height = half(118 + 3.2 * age + 22 * (chance.random() - 0.5))
    weight = half((height / 100) ** 2 * (17 + 6 * chance.random()))
    return name, age, drawn(SCHOOLS, chance), grade, height, weight


def birds() -> str:
    chance = random.Random(SEED + 1)
    names = shuffled([f"{first} {last}" for first in FIRST_NAMES.split() for last in LAST_NAMES.split()], chance)[
        :MEMBERS
    ]
    members = [
        (number, name, drawn(CITIES, chance), day(date(2012, 1, 1), 4200, chance))
        for number, name in enumerate(names, start=1)
    ]
    kinds = [(number, *kind) for number, kind in enumerate(BIRDS, start=1)]
    sightings = []
    for number in range(1, SIGHTINGS + 1):
        seen_on = day(date(2024, 1, 1), 640, chance)
        # few members are out often, few birds are seen often
        member, bird = 1 + skewed(MEMBERS, chance), 1 + skewed(len(BIRDS), chance)
        sightings.append((number, member, bird, seen_on, drawn(PLACES, chance), 1 + skewed(30, chance)))
    tables = {"members": members, "birds": kinds, "sightings": sightings}
    return HEADING_BIRDS + BIRDS_TABLES + "".join(line for name, rows in tables.items() for line in inserts(name, rows))


def drawn(choices: Sequence[T], chance: random.Random) -> T:
    return choices[int(chance.random() * len(choices))]


def skewed(count: int, chance: random.Random) -> int:
    return int(chance.random() ** 2 * count)


def shuffled(items: Sequence[T], chance: random.Random) -> list[T]:
    keys = [chance.random() for _ in items]
    return [item for _, item in sorted(zip(keys, items, strict=True), key=lambda pair: pair[0])]


def half(value: float) -> float:
    return round(2 * value) / 2


def day(first: date, days: int, chance: random.Random) -> str:
    return (first + timedelta(days=int(chance.random() * days))).isoformat()


def inserts(table: str, rows: Sequence[Row]) -> Iterator[str]:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        some = rows[start : start + ROWS_A_STATEMENT]
        yield f"INSERT INTO {table} VALUES\n" + ",\n".join(f"    ({', '.join(map(literal, row))})" for row in some)
        yield ";\n"


def literal(value: object) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    main()
