"""Which shapes of question can be made: the skeletons of Spider's gold training queries beside those of made ones.

For every training database queries are sampled and verified as `myna data database` does. A gold query counts as
covered when a query of the same skeleton (its constructs and the shape of its joins, without names and values) was made
and verified on any of the databases. Every made query must execute, and be written as constrained decoding writes it.

    python benchmarks/skeletons.py
    python benchmarks/skeletons.py --candidates 100 --missing 10
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from myna.builders.database.profile import profile
from myna.builders.database.sampling import sample_queries
from myna.builders.database.skeleton import skeleton
from myna.builders.database.verify import Verifier
from myna.databases import Database
from myna.errors import QueryError
from myna.text2sql.surface import canonical

SPIDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "spider"


def made(path: Path, candidates: int, seed: int, reasons: Counter[str]) -> Counter[str]:
    """Return the skeletons of the verified queries of a database, and count why others were not kept."""
    found: Counter[str] = Counter()
    with Database.open(path) as database:
        described = profile(database, seed=seed)
        verifier = Verifier(database)
        for query in sample_queries(described, seed=seed, count=candidates):
            verdict = verifier.verify(query)
            reasons[verdict.reason or "verified"] += 1
            if verdict.reason is None:
                found[skeleton(verdict.sql)] += 1
                if canonical(verdict.sql, database.schema) != verdict.sql:
                    reasons["verified, but not in the one surface"] += 1
    return found


def gold(spider: Path) -> Counter[str]:
    """Return the skeletons of the gold training queries."""
    found: Counter[str] = Counter()
    for entry in json.loads((spider / "train_spider.json").read_text("utf-8")):
        try:
            found[skeleton(entry["query"])] += 1
        except QueryError:
            found["(can't be parsed)"] += 1
    return found


def table(missing: list[tuple[str, int]]) -> str:
    """Return a Markdown table of skeletons and how many gold queries have them."""
    lines = ["| gold queries | skeleton |", "|---:|---|"]
    return "\n".join(lines + [f"| {count} | `{text.replace('|', '')}` |" for text, count in missing])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spider", type=Path, default=SPIDER)
    parser.add_argument("--candidates", type=int, default=300, help="queries sampled on each database")
    parser.add_argument("--missing", type=int, default=40, help="rows of the table of what is not made")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    reasons: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    began = time.perf_counter()
    databases = sorted((arguments.spider / "database").glob("*/*.sqlite"))
    for number, path in enumerate(databases, 1):
        shapes += made(path, arguments.candidates, arguments.seed, reasons)
        if number % 20 == 0:
            print(f"{number} of {len(databases)} databases", file=sys.stderr)
    asked = gold(arguments.spider)
    total = sum(asked.values())
    covered = sum(count for text, count in asked.items() if text in shapes)
    kinds = sum(text in shapes for text in asked)
    seconds = time.perf_counter() - began
    print(f"{len(databases)} databases, {seconds:.0f} s; candidates: {dict(reasons.most_common())}\n")
    print(f"{covered} of {total} gold queries ({covered / total:.1%}) have a skeleton that is made.")
    print(f"{kinds} of their {len(asked)} different skeletons ({kinds / len(asked):.1%}); made are {len(shapes)}.\n")
    print(table([each for each in asked.most_common() if each[0] not in shapes][: arguments.missing]))
    return 0 if covered >= 0.7 * total and not reasons["does not run"] else 1


if __name__ == "__main__":
    sys.exit(main())
