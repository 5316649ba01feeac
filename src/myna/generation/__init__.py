"""Generation: a loaded model that answers in text. `load` one, then `generate`.

Between engines, which know only tokens, and everybody who wants an answer: training's samples, asking,
chatting.
"""

from myna.engines.base import Sampling
from myna.generation.language_model import ConstraintFactory, Generation, LanguageModel, Prompt
from myna.generation.loading import load

__all__ = ["ConstraintFactory", "Generation", "LanguageModel", "Prompt", "Sampling", "load"]
