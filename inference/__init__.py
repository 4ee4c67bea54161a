"""How a program is fitted, scored and sampled."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "training": ["FitConfig", "fit"],
        "history": ["FitHistory"],
        "holdout": ["hold_out"],
        "generate": ["decisions", "shares"],
        "guide": ["ParticipantGuide"],
        "margins": ["Cells", "Margins", "fit_margins"],
        "elbo": ["CrowdELBO"],
        "predictive": ["PredictiveELBO"],
        "paper": ["PaperELBO"],
        "profile_training": ["ProfileFit", "ProfileFitConfig", "fit_profiles"],
        "program": ["run_crowd", "run_score", "tells_the_story"],
        "sites": ["check_sites"],
        "story_guide": ["StoryGuide"],
        "regression": ["vary", "walk"],
        "score": ["LogScore", "log_score"],
        "selection_guide": ["SelectionGuide"],
        "snapshot": ["Keeper", "Snapshot"],
        "calibration": ["Calibration", "crowd_calibration", "guide_posterior", "simulation_based_calibration"],
        "checks": ["PredictiveCheck", "bayesian_p_value"],
        "conditioning": ["PersonDraws", "condition"],
        "lifted": ["LiftedCrowd"],
        "nuts": ["sample_posterior"],
        "pit": ["Transforms", "loo_pit"],
        "posterior": ["Posterior"],
        "stock_svi": ["approximate_posterior"],
        "uniformity": ["ecdf_band", "uniform_p_value"],
        "weighing": ["weighed"],
    },
)
