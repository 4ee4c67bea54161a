from .by_margins import MarginsAlone, RakedPool
from .filters import Filter
from .generator import ProfileGenerator
from .learned import LearnedProfiles
from .margins import Margin, Margins
from .pool import Pool

__all__ = ["Filter", "LearnedProfiles", "Margin", "Margins", "MarginsAlone", "Pool", "ProfileGenerator", "RakedPool"]
