"""Models of annotation: a hidden truth a problem, and people who report it each in their way."""
