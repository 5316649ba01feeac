"""`demo`: the whole story on the starter model, offline: data, score, training, score, questions, fusing, report."""

from __future__ import annotations

import json
import time
from pathlib import Path

from myna.errors import Interrupted, ResourceError
from myna.models.files import STARTER, find
from myna.starter.events import Listener, Opened
from myna.starter.place import fresh_place
from myna.starter.result import DemoResult
from myna.starter.story import FULL, QUICK, Story


def demo(
    out: Path | str = "myna-demo",
    *,
    quick: bool = False,
    model: str = STARTER,
    listener: Listener | None = None,
) -> DemoResult:
    """Tell the whole story: make data of a database, score, train, score again, ask, fuse, report.

    out: a folder for all that is made; that of an earlier demo is made anew. quick: the same story in less than 45
    seconds, with less data and training. model: the base model, a folder or hub id, or `starter`. listener: is given
    every `events.DemoEvent`. The same call gives the same result on the same machine.

    Raises `RunError` when something else is at `out` or it can't be written to, `ResourceError` (disk or memory),
    `ModelError`, `MissingDependency`, and `Interrupted` on Ctrl-C.
    """
    began = time.perf_counter()
    find(model)  # says at once what is wrong with it
    with fresh_place(Path(out).expanduser()) as place:
        tell: Listener = listener or (lambda event: None)
        tell(Opened(place.folder, place.again))
        story = Story(place, model, QUICK if quick else FULL, tell)
        try:
            learnt, elsewhere, asked, report = story.tell()
        except (Interrupted, KeyboardInterrupt) as stopped:
            code = stopped.exit_code if isinstance(stopped, Interrupted) else 130
            raise Interrupted(f"Stopped at {story.at}. {_again(place.folder)}", exit_code=code) from None
        except ResourceError as error:
            # what follows the first sentence is advice for the command alone
            problem = str(error).partition(". ")[0].rstrip(".")
            raise ResourceError(f"The demo stopped at {story.at}: {problem}. {_again(place.folder)}") from error
        result = DemoResult(place.folder, report, learnt, elsewhere, asked, time.perf_counter() - began)
        place.finish(json.dumps({"finished": True, **result.as_dict()}, ensure_ascii=False, indent=2))
    return result


def _again(folder: Path) -> str:
    return f"What it has made so far is in {folder}; called again, the demo begins anew there."
