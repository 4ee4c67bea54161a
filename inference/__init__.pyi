from .calibration import Calibration, crowd_calibration, guide_posterior, simulation_based_calibration
from .checks import PredictiveCheck, bayesian_p_value
from .conditioning import PersonDraws, condition
from .elbo import CrowdELBO
from .generate import decisions, shares
from .guide import ParticipantGuide
from .history import FitHistory
from .holdout import hold_out
from .lifted import LiftedCrowd
from .margins import Cells, Margins, fit_margins
from .nuts import sample_posterior
from .paper import PaperELBO
from .pit import Transforms, loo_pit
from .posterior import Posterior
from .predictive import PredictiveELBO
from .profile_training import ProfileFit, ProfileFitConfig, fit_profiles
from .program import run_crowd, run_score, tells_the_story
from .regression import vary, walk
from .score import LogScore, log_score
from .selection_guide import SelectionGuide
from .sites import check_sites
from .snapshot import Keeper, Snapshot
from .stock_svi import approximate_posterior
from .story_guide import StoryGuide
from .training import FitConfig, fit
from .uniformity import ecdf_band, uniform_p_value
from .weighing import weighed

__all__ = [
    "Calibration",
    "Cells",
    "CrowdELBO",
    "FitConfig",
    "FitHistory",
    "Keeper",
    "LiftedCrowd",
    "LogScore",
    "Margins",
    "PaperELBO",
    "ParticipantGuide",
    "PersonDraws",
    "Posterior",
    "PredictiveCheck",
    "PredictiveELBO",
    "ProfileFit",
    "ProfileFitConfig",
    "SelectionGuide",
    "Snapshot",
    "StoryGuide",
    "Transforms",
    "approximate_posterior",
    "bayesian_p_value",
    "check_sites",
    "condition",
    "crowd_calibration",
    "decisions",
    "ecdf_band",
    "fit",
    "fit_margins",
    "fit_profiles",
    "guide_posterior",
    "hold_out",
    "log_score",
    "loo_pit",
    "run_crowd",
    "run_score",
    "sample_posterior",
    "shares",
    "simulation_based_calibration",
    "tells_the_story",
    "uniform_p_value",
    "vary",
    "walk",
    "weighed",
]
