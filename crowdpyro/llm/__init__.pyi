from .frozen import FrozenLLM, LowOptionMassWarning

__all__ = ["FrozenLLM", "LowOptionMassWarning"]
