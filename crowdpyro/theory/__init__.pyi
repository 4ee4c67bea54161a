from .cross_fit import cross_fit_interval
from .grid_set import GridEdgeWarning, PredictionPoweredSet, prediction_powered_set
from .interval import InSampleWarning, crowd_interval
from .interval_result import CrowdInterval
from .pooled import pooled_interval
from .shares import share_interval
from .union_bound import prediction_powered_mean

__all__ = [
    "CrowdInterval",
    "GridEdgeWarning",
    "InSampleWarning",
    "PredictionPoweredSet",
    "cross_fit_interval",
    "crowd_interval",
    "pooled_interval",
    "prediction_powered_mean",
    "prediction_powered_set",
    "share_interval",
]
