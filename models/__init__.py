"""Every probabilistic program of crowdpyro: what the story is."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "approvals": ["Approvals"],
        "ballot": ["Ballot"],
        "ballot_blender": ["ApprovalBlender", "ChoiceBlender", "PointsBlender", "RankBlender"],
        "batch": ["Batch"],
        "belief": ["BeliefGenerator", "ParticipantView"],
        "blender": [
            "Blender",
            "CensoredNormalBlender",
            "CutNormalBlender",
            "NormalBlender",
            "SoftmaxBlender",
            "blender_for",
        ],
        "censored_normal": ["CensoredNormal"],
        "cut_normal": ["CutNormal"],
        "encoder": ["ProblemEncoder", "ProblemView"],
        "decoder": ["DescriptionDecoder"],
        "errors": ["CrowdPyroError", "DataError", "MissingReferenceError", "ModelError"],
        "draw_mixture": ["DrawMixture"],
        "joint": ["JointModel"],
        "mrp": ["MultilevelRegression", "SurveyTable"],
        "participation": ["LogisticParticipation", "SelectiveParticipation"],
        "plackett_luce": ["PlackettLuce", "PlackettLuceSet"],
        "polya_urn": ["PolyaUrn"],
        "selection": ["SelectionModel"],
        "profile_model": ["ProfileBatch", "ProfileModel"],
        "semi_implicit": ["SemiImplicit"],
        "scales": ["Categorical", "Continuous", "Ordinal", "Scale", "parse_scale"],
    },
)
