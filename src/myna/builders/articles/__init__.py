"""Articles → question and answer: a blog's README index or a folder of Markdown → title → content.

`index` finds the articles, `cleaning` leaves out what is not worth learning, `pieces` cuts what is too long,
`repeats` knows what came before, `build` puts them together. Knows no model: what a text costs in tokens it is told.
"""

from myna.builders.articles.build import build_articles
from myna.builders.articles.questions import PLACE_OF_TITLE

__all__ = ["PLACE_OF_TITLE", "build_articles"]
