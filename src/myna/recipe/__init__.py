"""Recipe: everything that determines a run, in one frozen typed object; YAML in and resolved YAML out.

`settings` holds the object itself, `document` reads YAML strictly (duplicate keys, line numbers), `reading`
turns a file and a command line's flags into a recipe, `writing` turns a recipe into YAML. Knows nothing of
files of examples, engines or the command line.
"""

from myna.recipe.reading import OTHER_NAMES, LoadedRecipe, from_yaml, load_recipe, read_recipe
from myna.recipe.settings import SECTIONS, LearningRateSchedule, LoraParameters, Recipe
from myna.recipe.writing import to_yaml

__all__ = [
    "OTHER_NAMES",
    "SECTIONS",
    "LearningRateSchedule",
    "LoadedRecipe",
    "LoraParameters",
    "Recipe",
    "from_yaml",
    "load_recipe",
    "read_recipe",
    "to_yaml",
]
