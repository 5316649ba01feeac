"""`build_articles`: find, clean, cut and write articles as instruction pairs, one article in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from myna.builders.articles.cleaning import clean, last_paragraphs
from myna.builders.articles.index import LeftOut, Listed, list_articles
from myna.builders.articles.pieces import Piece, cut
from myna.builders.articles.questions import PLACE_OF_TITLE, Questions
from myna.builders.articles.repeats import Repeats
from myna.builders.decoding import decode
from myna.builders.lengths import estimated_tokens, exact_tokens
from myna.builders.sides import Shares, key_of
from myna.builders.writer import Built, FolderWriter, new_data_folder
from myna.errors import DataError, excerpt
from myna.models.files import locate_tokenizer
from myna.prompts.builder import PromptBuilder

_MAX_ARTICLE_BYTES = 4 * 2**20
_FEWEST_LETTERS = 12
_ENDS_MANY = 3
"""A paragraph that ends this many articles is a footer."""
_NAMED = 5


def build_articles(
    source: Path,
    out: Path,
    *,
    model: str | None = None,
    match: str | None = None,
    marker: str | None = None,
    max_seq_length: int = 2048,
    instruction: str = PLACE_OF_TITLE,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    seed: int = 0,
) -> Built:
    """Make a data folder at `out`: for each article its title as the question and its content as the answer.

    source: a README index (`##### path   [《title》](path)` lines) or a folder of Markdown. model: folder or hub id of
    the model whose tokenizer counts what an example takes; None estimates it, on the safe side. match: only articles
    whose title or path holds this, in any case. marker: text of the line above the index (found when it is a usual
    one). max_seq_length: most tokens of an example, question included; longer articles are cut at headings, then
    paragraphs, and the question names the headings above a piece. instruction: the question, with `{title}` in it.
    valid_share, test_share: about which share of articles is kept for validation and testing, by a hash of name and
    `seed`, so that all pieces of an article are on one side and stay there when the source grows.

    Raises `DataError` when the source is missing, is no index, or nothing in it can be used; `RecipeError` for
    settings that can't be met; `ModelError` and `PromptError` for the model alone.
    """
    tokens = exact_tokens(PromptBuilder.load(locate_tokenizer(model))) if model is not None else estimated_tokens
    questions = Questions(tokens, max_seq_length, instruction)
    shares = Shares(valid_share, test_share)
    listed = [found for found in list_articles(source, marker) if _may_match(found, match)]
    if not listed:
        raise DataError(f"{source}: no article matches {excerpt(match)} in title or path; try a shorter --match")
    facts = {
        "builder": "articles",
        "path": str(source),
        "match": match,
        "max_seq_length": max_seq_length,
        "tokens": "estimated" if model is None else f"counted with the tokenizer of {model}",
        "instruction": instruction,
        "valid_share": valid_share,
        "test_share": test_share,
    }
    known = {key: value for key, value in facts.items() if value is not None}
    with new_data_folder(out, known, origin="path", seed=seed) as folder:
        writing = _Writing(folder, questions, shares, match, seed)
        writing.write(listed)
        folder.notes.extend(writing.notes())
    return folder.built(out)


class _Writing:
    """Writes articles into one data folder and keeps count of what became of them."""

    def __init__(
        self, folder: FolderWriter, questions: Questions, shares: Shares, match: str | None, seed: int
    ) -> None:
        self._folder, self._questions, self._shares = folder, questions, shares
        self._match, self._seed = match, seed
        self._repeats = Repeats()
        self._titles: set[str] = set()
        self._left_out: dict[str, list[str]] = {}
        self._articles, self._cut, self._sides = 0, 0, Counter[str]()

    def write(self, listed: Sequence[Listed | LeftOut]) -> None:
        """Write the pieces of all articles. Raises `DataError` when none is left to train on."""
        endings = _common_endings(listed)
        for number, found in enumerate(listed):
            if isinstance(found, LeftOut):
                self._leave_out(found.reason, found.name, found.where)
                continue
            try:
                self._article(found, _read(found), number, endings)
            except _NoArticleError as reason:
                self._leave_out(str(reason), found.name)
        if self._sides and not self._sides["train"]:
            raise DataError(
                f"all {self._articles} articles fell to validation and testing; give another --seed, or smaller shares"
            )

    def _article(self, found: Listed, text: str, number: int, endings: frozenset[bytes]) -> None:
        stem = Path(found.name).stem.replace("-", " ").replace("_", " ").strip()
        article = clean(text, title=found.title, name=stem or found.name, endings=endings)
        if not _matches(self._match, article.title, found.name):
            return
        if not article.blocks:
            raise _NoArticleError("nothing but headings, links and images is in it" if text.strip() else "it is empty")
        article = article.called(self._own_title(article.title, found.name))
        pieces = cut(article, self._questions.cost, self._questions.limit)
        self._articles += 1
        self._cut += len(pieces) > 1
        side = self._shares.side(key_of(found.name, self._seed))
        for piece, part in zip(pieces, _parts(pieces), strict=True):
            self._piece(piece, part, side, found.name, number)

    def _own_title(self, title: str, name: str) -> str:
        """Return the title, with the folder or the path if an article had it before: one question, one answer."""
        folder = Path(name).parent.name
        titles = (title, f"{title} ({folder})" if folder else title, f"{title} ({name})")
        own = next((one for one in titles if one.casefold() not in self._titles), titles[-1])
        self._titles.add(own.casefold())
        return own

    def _piece(self, piece: Piece, part: tuple[int, int], side: str, name: str, number: int) -> None:
        if sum(map(str.isalnum, piece.text)) < _FEWEST_LETTERS:
            self._folder.skip(f"pieces with fewer than {_FEWEST_LETTERS} letters")
        elif not self._repeats.first_time(piece.text, number):
            self._folder.skip("pieces that repeat an earlier one")
        else:
            question = {"role": "user", "content": self._questions.ask(piece.path, part)}
            answer = {"role": "assistant", "content": piece.text}
            self._folder.add(side, {"messages": [question, answer], "source": name})
            self._sides[side] += 1

    def _leave_out(self, reason: str, name: str, where: str = "") -> None:
        self._folder.skip(f"articles: {reason}")
        self._left_out.setdefault(reason, []).append(f"{name} ({where})" if where else name)

    def notes(self) -> list[str]:
        """Return what a person should know, a sentence each."""
        notes = [f"{self._articles} articles, {self._cut} of them cut into pieces"]
        for reason, names in self._left_out.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            notes.append(f"left out because {reason}: {', '.join(names[:_NAMED])}{more}")
        return notes


class _NoArticleError(Exception):
    """Why a file gives no examples."""


def _may_match(found: Listed | LeftOut, match: str | None) -> bool:
    """Whether title or path holds `match`, or can't be told before the title is read."""
    return found.title is None or _matches(match, found.title, found.name)


def _matches(match: str | None, title: str, name: str) -> bool:
    return match is None or match.casefold() in f"{title}\n{name}".casefold()


def _read(found: Listed) -> str:
    try:
        if found.file.stat().st_size > _MAX_ARTICLE_BYTES:
            raise _NoArticleError(f"it is larger than {_MAX_ARTICLE_BYTES // 2**20} MiB")
        return decode(found.file.read_bytes(), found.name)
    except OSError as error:
        raise _NoArticleError(f"it can't be read ({error.strerror or error})") from error
    except DataError as error:
        raise _NoArticleError("it is neither UTF-8 nor GB18030") from error


def _common_endings(listed: Sequence[Listed | LeftOut]) -> frozenset[bytes]:
    """Return the digests of the paragraphs that end many of the articles: footers."""
    counts = Counter[bytes]()
    for found in listed:
        if isinstance(found, Listed):
            try:
                counts.update(last_paragraphs(_read(found)))
            except _NoArticleError:
                continue  # is said when it is its turn
    return frozenset(digest for digest, count in counts.items() if count >= _ENDS_MANY)


def _parts(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    """Return for each piece which part it is, of how many with its path."""
    of = Counter(piece.path for piece in pieces)
    seen = Counter[tuple[str, ...]]()
    parts = []
    for piece in pieces:
        seen[piece.path] += 1
        parts.append((seen[piece.path], of[piece.path]))
    return parts
