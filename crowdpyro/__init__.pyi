from . import (
    aggregation,
    baselines,
    checks,
    crowd_intervals,
    datasets,
    individuation,
    inference,
    llm,
    metrics,
    models,
    plots,
    replay,
    theory,
)
from .aggregation.truth import aggregate
from .conditioning import ConditionedPeople
from .config import CrowdConfig
from .crowd import Crowd
from .data import CrowdData
from .dimension import choose_n_eps
from .errors import CrowdPyroError, DataError, MissingReferenceError, ModelError
from .estimator import CrowdLLM
from .inference.training import FitConfig
from .llm import FrozenLLM
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, parse_scale
from .poststratification import Poststratification, poststratify
from .references import References
from .survey import SurveyDesign
from .text import load_encoder

__version__: str

__all__ = [
    "Ballot",
    "Categorical",
    "ConditionedPeople",
    "Continuous",
    "Crowd",
    "CrowdConfig",
    "CrowdData",
    "CrowdLLM",
    "CrowdPyroError",
    "DataError",
    "FitConfig",
    "FrozenLLM",
    "MissingReferenceError",
    "ModelError",
    "Ordinal",
    "Poststratification",
    "References",
    "SurveyDesign",
    "aggregate",
    "aggregation",
    "baselines",
    "checks",
    "choose_n_eps",
    "crowd_intervals",
    "datasets",
    "individuation",
    "inference",
    "llm",
    "load_encoder",
    "metrics",
    "models",
    "parse_scale",
    "plots",
    "poststratify",
    "replay",
    "theory",
]
