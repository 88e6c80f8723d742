"""Linear probes: whether an attribute can be read from features by a linear function, and the direction in which it changes.

The direction is not the probe's weight vector, which also cancels what has nothing to do with the attribute, but its pattern
(Haufe et al. 2014, "On the interpretation of weight vectors of linear models"): how the features change with its output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # shares of the mean variance
CHECKED = 5  # every fifth training sample chooses the ridge


@dataclass(frozen=True)
class Axis:
    """An attribute's direction [D] in a space: the change of the features that goes with one standard deviation of the probe's
    output. `accuracy` is the mean of the shares of held-out samples with and without the attribute that the probe gets right;
    a guess has 0.5. `share` is the share of the training samples that have the attribute, `seen` the number of held-out ones."""

    name: str
    accuracy: float
    share: float
    seen: int
    direction: Tensor


class _Ridge(NamedTuple):
    """Ridge regression on features x [N, D], by the eigenvectors of the smaller of X X^T and X^T X, in float64: with more
    samples than features X X^T has N - D eigenvalues of 0, which float32 does not tell from small ones."""

    x: Tensor
    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Ridge:
        x = x.double()
        values, vectors = torch.linalg.eigh(x @ x.T if len(x) <= x.shape[1] else x.T @ x)
        return cls(x, values.clamp(min=0), vectors)

    def weights(self, y: Tensor, ridge: float) -> Tensor:
        """The weights [D, K] for targets [N, K]. `ridge` is a share of a sample's mean squared length."""
        x, v, y = self.x, self.vectors, y.double()
        floor = ridge * (self.values.sum() / len(x)).clamp(min=1e-12)
        scale = (self.values + floor)[:, None]
        found = x.T @ (v @ ((v.T @ y) / scale)) if len(x) <= x.shape[1] else v @ ((v.T @ (x.T @ y)) / scale)
        return found.float()


def balanced(output: Tensor, has: Tensor, threshold: Tensor) -> Tensor:
    """The balanced accuracy [K] of outputs [N, K] for attributes bool [N, K]."""
    right = (output > threshold) == has
    shares = [(right & side).sum(dim=0) / side.sum(dim=0).clamp(min=1) for side in (has, ~has)]
    return (shares[0] + shares[1]) / 2


def _between(output: Tensor, has: Tensor) -> Tensor:
    """The thresholds [K] in the middle between the mean outputs of both classes."""
    means = [(output * side).sum(dim=0) / side.sum(dim=0).clamp(min=1) for side in (has.float(), (~has).float())]
    return (means[0] + means[1]) / 2


def fit_axes(train: Tensor, has: Tensor, held_out: Tensor, held_has: Tensor, names: Sequence[str]) -> list[Axis]:
    """An axis for each of K attributes. Features are [N, D] and [M, D], attributes bool [N, K] and [M, K]."""
    mean = train.mean(dim=0)
    x, y = train - mean, has.float() - has.float().mean(dim=0)
    checked = torch.arange(len(x)) % CHECKED == 0
    part = _Ridge.of(x[~checked])
    scores = []
    for ridge in RIDGES:
        found = part.weights(y[~checked], ridge)
        outputs = [some @ found for some in (x[~checked], x[checked])]
        scores.append(balanced(outputs[1], has[checked], _between(outputs[0], has[~checked])))
    best = torch.stack(scores).argmax(dim=0)
    whole, weights = _Ridge.of(x), torch.empty(x.shape[1], len(names))
    for i, ridge in enumerate(RIDGES):
        if (chosen := best == i).any():
            weights[:, chosen] = whole.weights(y[:, chosen], ridge)
    output = x @ weights
    accuracy = balanced((held_out - mean) @ weights, held_has, _between(output, has))
    patterns = (x.T @ output) / (output.square().sum(dim=0) * len(x)).sqrt().clamp(min=1e-12)
    return [
        Axis(name, float(accuracy[i]), float(has[:, i].float().mean()), int(held_has[:, i].sum()), patterns[:, i])
        for i, name in enumerate(names)
    ]


@dataclass(frozen=True)
class Principal:
    """A principal direction [D], as long as its standard deviation. `share` is the share of the variance. `like` is the attribute
    that goes with it most, and `r` the correlation."""

    direction: Tensor
    share: float
    like: str
    r: float


def principal(train: Tensor, has: Tensor, names: Sequence[str], count: int) -> list[Principal]:
    """The first `count` principal directions of features [N, D], with what is known of them. No names are needed."""
    x = train - train.mean(dim=0)
    values, vectors = torch.linalg.eigh(x @ x.T)
    values, found = values.clamp(min=0).flip(0), []
    y = has.float() - has.float().mean(dim=0)
    for i in range(min(count, len(x) - 1)):
        score = vectors[:, -1 - i]
        r = (score @ y) / y.norm(dim=0).clamp(min=1e-12) if len(names) else torch.zeros(1)
        most = int(r.abs().argmax())
        like = names[most] if len(names) else ""
        direction = (x.T @ score) / len(x) ** 0.5
        found.append(Principal(direction, float(values[i] / values.sum()), like, float(r[most])))
    return found


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation from a to b (Shoemake 1985): the direction turns evenly, the length changes evenly."""
    u, v = a / a.norm(), b / b.norm()
    angle = torch.acos((u * v).sum().clamp(-1, 1))
    if float(angle.sin().abs()) < 1e-4:
        return a.lerp(b, t)
    turned = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / angle.sin()
    return turned * ((1 - t) * a.norm() + t * b.norm())


def nearest(query: Tensor, among: Tensor, count: int) -> list[list[int]]:
    """For each query [Q, D] the rows of `among` [N, D] with the highest cosine, after the mean of `among` is taken off."""
    mean = among.mean(dim=0)
    q, a = (torch.nn.functional.normalize(x - mean, dim=1) for x in (query, among))
    return (q @ a.T).topk(min(count, len(among)), dim=1).indices.tolist()  # type: ignore[no-any-return]
