"""Loss and perplexity of a model on data: of the base, of an adapter, of every checkpoint of a run.

`test` is the public function; `mean_loss` is what training's validation and it have in common. Knows engines
only by their protocol.
"""

from myna.evaluation.loss import evaluation_rows, fixed_selection, mean_loss, perplexity
from myna.evaluation.testing import Score, noted_keys, test

__all__ = ["Score", "evaluation_rows", "fixed_selection", "mean_loss", "noted_keys", "perplexity", "test"]
