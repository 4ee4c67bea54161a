from .checked import one_hot
from .cross_fit import cross_fit_interval
from .eta import Decision, eta_from_draws, eta_from_probabilities, llm_decision, majority_probabilities, tempered
from .gap_test import GapTest, risk_gap_test
from .grid_set import GridEdgeWarning, PredictionPoweredSet, prediction_powered_set
from .interval import InSampleWarning, crowd_interval
from .interval_result import CrowdInterval
from .kappa import conformal_kappa
from .moments import CrowdMoments
from .planner import SamplePlan, plan_from_moments, plan_sample
from .pooled import pooled_interval
from .power import PowerTable, TrainingPlan
from .profiles import ProfileCoordinates, ProfileDistance, profile_w1
from .repeats import NoiseAndDiscrepancy, noise_and_discrepancy
from .report import WinReport, win_report
from .risk import RiskDecomposition, expected_risk, pure_llm_risk, risk_decomposition
from .shares import share_interval
from .union_bound import prediction_powered_mean
from .w1_bound import W1Bound, dequantisation_term, dequantisation_w1, profile_w1_bound
from .wasserstein import point_w1
from .win import PrintedWidth, WinInterval, exact_width, printed_width, robust_interval, win_interval

__all__ = [
    "CrowdInterval",
    "CrowdMoments",
    "Decision",
    "GapTest",
    "GridEdgeWarning",
    "InSampleWarning",
    "NoiseAndDiscrepancy",
    "PowerTable",
    "PredictionPoweredSet",
    "PrintedWidth",
    "ProfileCoordinates",
    "ProfileDistance",
    "RiskDecomposition",
    "SamplePlan",
    "TrainingPlan",
    "W1Bound",
    "WinInterval",
    "WinReport",
    "conformal_kappa",
    "cross_fit_interval",
    "crowd_interval",
    "dequantisation_term",
    "dequantisation_w1",
    "eta_from_draws",
    "eta_from_probabilities",
    "exact_width",
    "expected_risk",
    "llm_decision",
    "majority_probabilities",
    "noise_and_discrepancy",
    "one_hot",
    "plan_from_moments",
    "plan_sample",
    "point_w1",
    "pooled_interval",
    "prediction_powered_mean",
    "prediction_powered_set",
    "printed_width",
    "profile_w1",
    "profile_w1_bound",
    "pure_llm_risk",
    "risk_decomposition",
    "risk_gap_test",
    "robust_interval",
    "share_interval",
    "tempered",
    "win_interval",
    "win_report",
]
