from .base import AnnotationModel
from .cut_normal_ratings import CutNormalRatings
from .dawid_skene import DawidSkene
from .glad import Glad
from .hierarchical_dawid_skene import HierarchicalDawidSkene
from .labels import UNKNOWN, Labels
from .mace import Mace
from .multinomial import Multinomial
from .one_coin import OneCoin
from .ragged import Ragged

__all__ = [
    "UNKNOWN",
    "AnnotationModel",
    "CutNormalRatings",
    "DawidSkene",
    "Glad",
    "HierarchicalDawidSkene",
    "Labels",
    "Mace",
    "Multinomial",
    "OneCoin",
    "Ragged",
]
