"""Inference in models of annotation: point estimates at the speed of sorted sums, SVI, NUTS, simulation."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "mode": ["posterior_mode"],
        "nuts": ["sample_annotation"],
        "point": ["point_estimate"],
        "posterior": ["AnnotationFit"],
        "simulate": ["Simulated", "simulate"],
        "svi": ["fit_svi"],
    },
)
