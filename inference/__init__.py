"""How a program is fitted, scored and sampled."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "training": ["FitConfig", "fit"],
        "history": ["FitHistory"],
        "generate": ["decisions", "shares"],
        "guide": ["ParticipantGuide"],
        "margins": ["Cells", "Margins", "fit_margins"],
        "elbo": ["CrowdELBO"],
        "predictive": ["PredictiveELBO"],
        "paper": ["PaperELBO"],
        "sites": ["check_sites"],
        "story_guide": ["StoryGuide"],
        "score": ["LogScore", "log_score"],
        "snapshot": ["Keeper", "Snapshot"],
    },
)
