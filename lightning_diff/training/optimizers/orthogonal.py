"""The nearest matrix with equal singular values, by five steps of an iteration of Newton and Schulz."""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 5
# p(s) = A s + B s^3 + C s^5: five times, it takes (0.01, 1] to about 1 (Jordan et al. 2024).
A, B, C = 3.4445, -4.7750, 2.0315
EPS = 1e-7


def orthogonalised(x: Tensor) -> Tensor:
    """Matrices [K, M, N] -> U V^T of each x = U S V^T, with singular values between 0.7 and 1.2 instead of 1; those that are
    far smaller than the largest one stay small.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". All steps are polynomials in the
    Gram matrix x x^T, which commute. So only the Gram matrix goes through the iteration, and x is multiplied once at the end:
    for a kernel of 128 x 1152 that is less than half of the products. It needs float32: an error of the Gram matrix grows
    by up to A^2 in each step."""
    tall = x.shape[1] > x.shape[2]
    wide = x.mT if tall else x
    wide = wide / (torch.linalg.vector_norm(wide, dim=(1, 2), keepdim=True) + EPS)
    gram = wide @ wide.mT
    product: Tensor | None = None
    for step in range(STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        factor.diagonal(dim1=1, dim2=2).add_(A)
        product = factor if product is None else factor @ product
        if step + 1 < STEPS:
            gram = factor @ gram @ factor
    assert product is not None
    found = product @ wide
    return found.mT if tall else found
