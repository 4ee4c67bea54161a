from .electorate import Electorate, ElectorateConfig
from .match import Match
from .pabulib import Election, election_of, read_pb, write_pb
from .papers import Papers, read_papers
from .rules import RULES, funded, outcome_overlap
from .simulated import City, simulate_city
from .zurich import ZurichVoting, load_zurich_voting

__all__ = [
    "RULES",
    "City",
    "Election",
    "Electorate",
    "ElectorateConfig",
    "Match",
    "Papers",
    "ZurichVoting",
    "election_of",
    "funded",
    "load_zurich_voting",
    "outcome_overlap",
    "read_papers",
    "read_pb",
    "simulate_city",
    "write_pb",
]
