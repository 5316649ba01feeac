"""Find the cells that WikiSQL's training questions name, once for all passes.

    python recipes/starter/named.py WIKISQL OUT.jsonl

A line of OUT is `{"line", "matches": [[column, value, start, stop], …]}`, as `ValueIndex.matches` finds them in the
question's own table.
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path

import numpy as np

from myna.builders.wikisql_source import QuestionFile
from myna.text2sql.values import ValueIndex
from myna.text2sql.values.cells import cells_of
from myna.text2sql.wikisql import schema_of, stored_rows


def main() -> None:
    """See above."""
    folder, out = map(Path, sys.argv[1:])
    file = QuestionFile(folder, "train.exec", seed=0)
    by_table = np.argsort(file.tables, kind="stable")
    with out.open("w", encoding="utf-8") as lines:
        for _, group in groupby(file.read(by_table), key=lambda each: each[1].id):
            asked = list(group)
            table = asked[0][1]
            (described,) = schema_of(table).tables
            index = ValueIndex.of(cells_of(described, stored_rows(table)))
            for question, _ in asked:
                found = [
                    [match.column, match.value, match.start, match.stop] for match in index.matches(question.question)
                ]
                lines.write(json.dumps({"line": question.line, "matches": found}, ensure_ascii=False) + "\n")
            index.close()


if __name__ == "__main__":
    main()
