from .mode import posterior_mode
from .nuts import sample_annotation
from .point import point_estimate
from .posterior import AnnotationFit
from .simulate import Simulated, simulate
from .svi import fit_svi

__all__ = [
    "AnnotationFit",
    "Simulated",
    "fit_svi",
    "point_estimate",
    "posterior_mode",
    "sample_annotation",
    "simulate",
]
