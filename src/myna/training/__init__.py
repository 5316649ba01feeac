"""Training: from a recipe to a run folder with checkpoints, log and adapter; resumable bit for bit.

`train` starts a run and `resume` goes on with one; `events` are what both tell while they work. Knows engines
only by their protocol, and nothing of how progress is shown.
"""

from myna.training.finishing import TrainResult
from myna.training.running import resume, train

__all__ = ["TrainResult", "resume", "train"]
