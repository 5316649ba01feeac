"""Flags of generation, named as mlx_lm names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from myna.generation import Generation, Sampling

_SAMPLING = Group("Sampling", sort_key=500)


@dataclass(frozen=True, slots=True)
class SamplingFlags:
    """How long an answer may be and how its tokens are chosen."""

    max_tokens: Annotated[int, Parameter(name=["--max-tokens", "-m"], group=_SAMPLING)] = 256
    """Longest answer in tokens."""
    temperature: Annotated[float, Parameter(name=["--temperature", "--temp"], group=_SAMPLING)] = 0.0
    """0 takes the most likely token each time."""
    top_p: Annotated[float, Parameter(group=_SAMPLING)] = 1.0
    """Take from the likeliest tokens that have this probability together."""
    top_k: Annotated[int, Parameter(group=_SAMPLING)] = 0
    """Take from this many of the likeliest tokens; 0 takes from all."""
    min_p: Annotated[float, Parameter(group=_SAMPLING)] = 0.0
    """Leave out tokens less likely than this share of the likeliest one."""
    repetition_penalty: Annotated[float, Parameter(group=_SAMPLING)] = 1.0
    """Above 1 makes tokens that were there already less likely."""
    seed: Annotated[int, Parameter(group=_SAMPLING)] = 0
    """Determines what is drawn."""

    def sampling(self) -> Sampling:
        """Return the engine's form of these."""
        from myna.generation import Sampling

        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
        )


SamplingChoice: TypeAlias = Annotated[SamplingFlags, Parameter(name="*")]
SAMPLING = SamplingFlags()


def speed_lines(answer: Generation, peak_memory_bytes: int) -> str:
    """Return mlx_lm's three lines about an answer."""
    return (
        f"Prompt: {answer.prompt_tokens} tokens, {answer.prompt_tokens_per_second:.3f} tokens-per-sec\n"
        f"Generation: {answer.generated_tokens} tokens,"
        f" {answer.generated_tokens_per_second:.3f} tokens-per-sec\n"
        f"Peak memory: {peak_memory_bytes / 1e9:.3f} GB"
    )
