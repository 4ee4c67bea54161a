from .electorate import Electorate, ElectorateConfig
from .match import Match
from .papers import Papers, read_papers
from .zurich import ZurichVoting, load_zurich_voting

__all__ = [
    "Electorate",
    "ElectorateConfig",
    "Match",
    "Papers",
    "ZurichVoting",
    "load_zurich_voting",
    "read_papers",
]
