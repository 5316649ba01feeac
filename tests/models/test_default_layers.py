"""How many layers are trained when nobody says."""

from pathlib import Path

from myna.models.adapters import resolve
from myna.models.files import find

STORIES = Path(__file__).parents[2] / "examples" / "stories260K"


def test_a_model_with_fewer_layers_than_the_default_is_trained_whole() -> None:
    files = find(str(STORIES))
    chosen = {"kind": "lora", "keys": None, "rank": 2, "scale": 1.0, "dropout": 0.0}
    assert resolve(files, num_layers=None, **chosen) == resolve(files, num_layers=5, **chosen)
