"""Runs: a fit on a person's own files, and what comes of it, each in a folder that says how it was made."""
