from .association import cramers_v, pairwise_v
from .by_margins import MarginsAlone, RakedPool
from .copies import Copies, nearest_people
from .filters import Filter
from .generator import ProfileGenerator
from .learned import LearnedProfiles
from .margins import Margin, Margins
from .pool import Pool
from .report import RecruitmentReport, recruitment_report

__all__ = [
    "Copies",
    "Filter",
    "LearnedProfiles",
    "Margin",
    "Margins",
    "MarginsAlone",
    "Pool",
    "ProfileGenerator",
    "RakedPool",
    "RecruitmentReport",
    "cramers_v",
    "nearest_people",
    "pairwise_v",
    "recruitment_report",
]
