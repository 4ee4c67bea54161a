from .cache import CachedScorer
from .examples import examples_from
from .frozen import FrozenLLM
from .option_mass import LowOptionMassWarning
from .personas import personas_of
from .prompts import PROMPTS, Prompt
from .recorded import RecordedAnswers
from .server import ServerLLM

__all__ = [
    "PROMPTS",
    "CachedScorer",
    "FrozenLLM",
    "LowOptionMassWarning",
    "Prompt",
    "RecordedAnswers",
    "ServerLLM",
    "examples_from",
    "personas_of",
]
