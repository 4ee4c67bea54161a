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
    recruitment,
    replay,
    reviews,
    theory,
    voting,
)
from .aggregation.truth import aggregate
from .careless_people import Careless, careless
from .conditioning import ConditionedPeople
from .config import CrowdConfig
from .crowd import Crowd
from .data import CrowdData
from .dimension import choose_n_eps
from .errors import CrowdPyroError, DataError, MissingReferenceError, ModelError
from .estimator import CrowdLLM
from .inference.training import FitConfig
from .llm import FrozenLLM, Prompt, RecordedAnswers, ServerLLM
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, parse_scale
from .mrp import MRP
from .participation_history import ParticipationHistory
from .poststratification import Poststratification, poststratify
from .references import References
from .selection_sensitivity import Sensitivity, sensitivity
from .survey import SurveyDesign
from .text import load_encoder

__version__: str

__all__ = [
    "MRP",
    "Ballot",
    "Careless",
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
    "ParticipationHistory",
    "Poststratification",
    "Prompt",
    "RecordedAnswers",
    "References",
    "Sensitivity",
    "ServerLLM",
    "SurveyDesign",
    "aggregate",
    "aggregation",
    "baselines",
    "careless",
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
    "recruitment",
    "replay",
    "reviews",
    "sensitivity",
    "theory",
    "voting",
]
