"""Muon takes torch's own steps, in the precision that the device is fast at."""

import pytest
import torch

from myna.engines.torch.muon import Muon, orthogonal


def test_a_step_has_singular_values_near_one_and_the_directions_of_its_matrix():
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 8, 20), (2, 20, 8), (1, 16, 16)):
        matrices = torch.randn(*shape, generator=generator)
        left, values, right = torch.linalg.svd(orthogonal(matrices, 5), full_matrices=False)
        assert ((values > 0.3) & (values < 1.3)).all()
        expected = torch.linalg.svd(matrices, full_matrices=False)
        # U V^T of the step is that of the matrix: the singular vectors stay. Small singular values let it stray.
        assert torch.allclose(left @ right, expected.U @ expected.Vh, atol=1e-3)


def test_muon_steps_as_torchs_own_does_within_bfloat16():
    generator = torch.Generator().manual_seed(1)
    start = {name: torch.randn(*shape, generator=generator) for name, shape in (("a", (12, 6)), ("b", (6, 12)))}
    results = []
    for optimizer in (Muon, torch.optim.Muon):
        parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
        taken = optimizer(list(parameters.values()), lr=0.1, weight_decay=0.02, momentum=0.9)
        gradients = torch.Generator().manual_seed(2)
        for _ in range(3):
            for parameter in parameters.values():
                parameter.grad = torch.randn(parameter.shape, generator=gradients)
            taken.step()
        results.append(parameters)
    for name, value in start.items():
        ours, theirs = (result[name] for result in results)
        # torch's iteration is in bfloat16, with three significant digits; three steps of 0.1 move by about 0.3.
        assert torch.allclose(ours, theirs, atol=0.02)
        assert not torch.allclose(ours, value, atol=0.05)


def test_options_that_can_not_be_are_refused():
    with pytest.raises(ValueError, match="ns_steps"):
        Muon([torch.nn.Parameter(torch.zeros(2, 2))], ns_steps=0)
    with pytest.raises(ValueError, match="matrices"):
        Muon([torch.nn.Parameter(torch.zeros(2))])
