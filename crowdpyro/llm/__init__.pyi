from .cache import CachedScorer
from .frozen import FrozenLLM
from .option_mass import LowOptionMassWarning
from .recorded import RecordedAnswers

__all__ = ["CachedScorer", "FrozenLLM", "LowOptionMassWarning", "RecordedAnswers"]
