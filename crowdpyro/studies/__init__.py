"""Studies: a data set, its protocols, and every method measured beside its yardsticks."""
