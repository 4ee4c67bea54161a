"""Digital populations: a frozen LLM's reference answers, and a Pyro model of how people deviate from them.

Data in (`CrowdData`, `References`), a model fitted (`CrowdLLM`), crowds out (`Crowd`). The probabilistic
programs are in `crowdpyro.models`, how they are fitted and sampled in `crowdpyro.inference`. Everything is
loaded when first used, so that `import crowdpyro` stays light.
"""

import lazy_loader as lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
