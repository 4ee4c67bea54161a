"""Inference in models of annotation: expectation maximisation at the speed of sorted sums, SVI, NUTS."""
