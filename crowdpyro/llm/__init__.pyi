from .cache import CachedScorer
from .frozen import FrozenLLM, LowOptionMassWarning
from .recorded import RecordedAnswers

__all__ = ["CachedScorer", "FrozenLLM", "LowOptionMassWarning", "RecordedAnswers"]
