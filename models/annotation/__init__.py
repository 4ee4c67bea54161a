"""Models of annotation: a hidden truth an item, and workers who report it each in their way."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "base": ["AnnotationModel"],
        "cut_normal_ratings": ["CutNormalRatings"],
        "dawid_skene": ["DawidSkene"],
        "glad": ["Glad"],
        "hierarchical_dawid_skene": ["HierarchicalDawidSkene"],
        "labels": ["UNKNOWN", "Labels"],
        "mace": ["Mace"],
        "multinomial": ["Multinomial"],
        "one_coin": ["OneCoin"],
        "ragged": ["Ragged"],
    },
)
