from .amazon2023 import ReviewerCount, read_amazon
from .amazon_files import fetch_amazon
from .halves import writing_half
from .problems import ReviewProblems, halved, titled
from .stand_ins import load_electronics, load_musical_instruments
from .table import ProductReviews
from .voices import Voices

__all__ = [
    "ProductReviews",
    "ReviewProblems",
    "ReviewerCount",
    "Voices",
    "fetch_amazon",
    "halved",
    "load_electronics",
    "load_musical_instruments",
    "read_amazon",
    "titled",
    "writing_half",
]
