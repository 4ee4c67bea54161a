from .approvals import Approvals
from .ballot import Ballot
from .ballot_blender import ApprovalBlender, ChoiceBlender, PointsBlender, RankBlender
from .batch import Batch
from .belief import BeliefGenerator, ParticipantView
from .blender import Blender, CensoredNormalBlender, CutNormalBlender, NormalBlender, SoftmaxBlender, blender_for
from .censored_normal import CensoredNormal
from .cut_normal import CutNormal
from .decoder import DescriptionDecoder
from .draw_mixture import DrawMixture
from .encoder import ProblemEncoder, ProblemView
from .errors import CrowdPyroError, DataError, MissingReferenceError, ModelError
from .joint import JointModel
from .mrp import MultilevelRegression, SurveyTable
from .participation import LogisticParticipation, SelectiveParticipation
from .plackett_luce import PlackettLuce, PlackettLuceSet
from .polya_urn import PolyaUrn
from .profile_model import ProfileBatch, ProfileModel
from .scales import Categorical, Continuous, Ordinal, Scale, parse_scale
from .selection import SelectionModel
from .semi_implicit import SemiImplicit

__all__ = [
    "ApprovalBlender",
    "Approvals",
    "Ballot",
    "Batch",
    "BeliefGenerator",
    "Blender",
    "Categorical",
    "CensoredNormal",
    "CensoredNormalBlender",
    "ChoiceBlender",
    "Continuous",
    "CrowdPyroError",
    "CutNormal",
    "CutNormalBlender",
    "DataError",
    "DescriptionDecoder",
    "DrawMixture",
    "JointModel",
    "LogisticParticipation",
    "MissingReferenceError",
    "ModelError",
    "MultilevelRegression",
    "NormalBlender",
    "Ordinal",
    "ParticipantView",
    "PlackettLuce",
    "PlackettLuceSet",
    "PointsBlender",
    "PolyaUrn",
    "ProblemEncoder",
    "ProblemView",
    "ProfileBatch",
    "ProfileModel",
    "RankBlender",
    "Scale",
    "SelectionModel",
    "SelectiveParticipation",
    "SemiImplicit",
    "SoftmaxBlender",
    "SurveyTable",
    "blender_for",
    "parse_scale",
]
