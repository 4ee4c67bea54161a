"""Participation: who takes part in which problem (the phi_it of the story).

logit p_it = a + b . v_i + c . f_t

v_i is the encoded profile, f_t the problem's covariates. The model is fitted to all meetings, those without an answer
included. Because p_it does not depend on y_it, eps_i or delta_it, answers are missing at random given profile and
problem: the answers' own parameters are the same whether participation is learned or given, and only crowds differ.
Where people stay away *because* of what they would have answered, no model of this form can tell.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class LogisticParticipation(nn.Module):
    """Logistic in profile and problem.

    Parameters
    ----------
    n_profile, n_features
        Sizes of profile and problem covariates.
    weight_scale
        Scale of the normal prior of the weights.
    """

    def __init__(self, n_profile: int, n_features: int, weight_scale: float = 1.0) -> None:
        super().__init__()
        self.weight_scale = weight_scale
        self.intercept = nn.Parameter(torch.zeros(()))
        self.profile = nn.Parameter(torch.zeros(1, n_profile))
        self.problem = nn.Parameter(torch.zeros(1, n_features))

    def of_profile(self, profile: Tensor) -> Tensor:
        """The participants' part, intercept included, shape `(..., n_participants)`."""
        return linear(profile, self.profile)[..., 0] + self.intercept

    def of_problem(self, features: Tensor) -> Tensor:
        """The problems' part, shape `(n_problems,)`."""
        return linear(features, self.problem)[..., 0]

    def log_prior(self) -> Tensor:
        """Log density of the weights under their normal prior, up to a constant; the intercept is free."""
        squares = self.profile.square().sum() + self.problem.square().sum()
        return -0.5 * squares / self.weight_scale**2


class SelectiveParticipation(LogisticParticipation):
    """Logistic in profile, problem, the participant's noise and the answer itself: not missing at random.

    logit p_it = a + b . v_i + c . f_t + l . eps_i + gamma * (y_it - c_y) / s

    l is learned: it shows in how people's answers go with how many they give. gamma does not show in any data, since
    the answers of those who stayed away are not there (D. B. Rubin 1976, Inference and missing data, Biometrika 63);
    it is what whoever fits the model assumes.

    Parameters
    ----------
    n_profile, n_features, n_eps
        Sizes of profile, problem covariates and participant noise.
    gamma
        What s adds to the log odds of giving an answer.
    centre, unit
        c_y, where a starts from, and s; a fit takes the standard deviation of the answers given, which selection makes
        smaller than everybody's.
    weight_scale
        Scale of the normal prior of the weights.
    """

    def __init__(
        self,
        n_profile: int,
        n_features: int,
        n_eps: int,
        gamma: float,
        centre: float,
        unit: float,
        weight_scale: float = 1.0,
    ) -> None:
        super().__init__(n_profile, n_features, weight_scale)
        self.gamma, self.centre, self.unit = gamma, centre, unit
        self.loadings = nn.Parameter(torch.zeros(1, n_eps))

    def of_noise(self, eps: Tensor) -> Tensor:
        """The noise's part, shape `(..., n)` of eps of shape `(..., n, n_eps)`."""
        return linear(eps, self.loadings)[..., 0]

    def of_answer(self, value: Tensor) -> Tensor:
        """The answer's part, in the shape of the values, which are in the unit of the response."""
        return self.gamma / self.unit * (value - self.centre)

    def log_prior(self) -> Tensor:
        """Log density of the weights, loadings included, up to a constant."""
        return super().log_prior() - 0.5 * self.loadings.square().sum() / self.weight_scale**2
