"""Parameters as sample sites: the same crowd, told by somebody who is not sure of it.

theta_k  ~ Normal(0, s_k^2)                      for the chosen parameters
answers  ~ crowd(theta)                          `JointModel.crowd`, the other parameters fixed

The scales s_k are read off `log_prior` itself: it is -theta^2 / (2 s^2) up to a constant, so that its gradient is
-1 / s^2 at theta = 1. Where the model is fitted that prior stands in the factor `weights`; here the sites carry it,
and the factor is hidden, so that nothing is counted twice. What is fixed adds a constant, which is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.func import functional_call

from ..models.batch import Batch
from ..models.errors import ModelError
from ..models.joint import JointModel

# Names of parameters, or names with the part of each that is random, as an index.
Chosen: TypeAlias = Iterable[str] | Mapping[str, Any]


class LiftedCrowd(nn.Module):
    """`JointModel.crowd` with some parameters drawn from their priors.

    Parameters
    ----------
    model
        Copied, in evaluation mode; its parameters are the values of what stays fixed.
    parameters
        Names as in `named_parameters`, such as `belief.shift.weight`; or a mapping of names to the part that is
        random, an index such as `(slice(None), slice(1))` for a first column, `...` for all of it.

    Attributes
    ----------
    scales
        Prior scale of every random element, by name.

    Raises
    ------
    ModelError
        For a name that is no parameter, or one without a normal prior around 0.
    """

    def __init__(self, model: JointModel, parameters: Chosen) -> None:
        super().__init__()
        if isinstance(parameters, str):
            raise ModelError(f"parameters={parameters!r}: give a list of names, [{parameters!r}].")
        self.model = copy.deepcopy(model).eval()
        self.parts = dict(parameters) if isinstance(parameters, Mapping) else dict.fromkeys(parameters, ...)
        given = dict(self.model.named_parameters())
        for name in self.parts:
            if name not in given:
                raise ModelError(f"parameters: the model has no parameter {name!r}; it has {', '.join(given)}.")
        self.scales = {name: _prior_scale(self.model, name)[part] for name, part in self.parts.items()}
        self.model.requires_grad_(False)

    def forward(self, batch: Batch, integrate: bool = False) -> Tensor:
        """Parameters, then `crowd`."""
        values = {}
        for name, part in self.parts.items():
            value = pyro.sample(name, self.prior_dist(name))
            # Indexed again and not written into, so that gradients reach the site.
            full = self.model.get_parameter(name).clone()
            full[part] = value
            values[f"model.{name}"] = full
        with poutine.block(hide=["weights"]):
            answers: Tensor = functional_call(_Crowd(self.model), values, (replace(batch, met=None), integrate))
            return answers

    def prior_dist(self, name: str) -> dist.TorchDistribution:
        """Normal(0, s^2) of a parameter's random part, all of it one event."""
        scale = self.scales[name]
        return dist.Normal(torch.zeros_like(scale), scale).to_event(scale.ndim)


class _Crowd(nn.Module):
    """The program as a module's forward, where torch puts other values in the parameters' places."""

    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, integrate: bool) -> Tensor:
        return self.model.crowd(batch, integrate=integrate)


class _Prior(nn.Module):
    def __init__(self, model: JointModel) -> None:
        super().__init__()
        self.model = model

    def forward(self) -> Tensor:
        return self.model.log_prior()


def _prior_scale(model: JointModel, name: str) -> Tensor:
    """Scale of the normal prior around 0 that `log_prior` gives each element of a parameter."""
    gradients = []
    for place in (1.0, 2.0):
        at = torch.full_like(model.get_parameter(name), place).requires_grad_()
        (gradient,) = torch.autograd.grad(
            functional_call(_Prior(model), {f"model.{name}": at}, ()), at, materialize_grads=True
        )
        gradients.append(gradient)
    once, twice = gradients
    if not ((once < 0).all() and torch.allclose(2 * once, twice)):
        raise ModelError(
            f"parameters: log_prior gives {name!r} no normal prior around 0; name another parameter, or override "
            "`log_prior` to hold -theta^2 / (2 s^2)."
        )
    return (-once).rsqrt().detach()
