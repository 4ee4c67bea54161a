"""Who is recruited: v_i = G_u(S, eps_i; theta) (Eq. 3), from a pool, from published margins, or learned."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
