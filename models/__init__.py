"""Every probabilistic program of crowdpyro: what the story is."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "batch": ["Batch"],
        "belief": ["BeliefGenerator", "ParticipantView"],
        "blender": ["Blender", "CutNormalBlender", "NormalBlender", "SoftmaxBlender", "blender_for"],
        "cut_normal": ["CutNormal"],
        "encoder": ["ProblemEncoder", "ProblemView"],
        "decoder": ["DescriptionDecoder"],
        "errors": ["CrowdPyroError", "DataError", "MissingReferenceError", "ModelError"],
        "draw_mixture": ["DrawMixture"],
        "joint": ["JointModel"],
        "participation": ["LogisticParticipation"],
        "semi_implicit": ["SemiImplicit"],
        "scales": ["Categorical", "Continuous", "Ordinal", "Scale", "parse_scale"],
    },
)
