"""One answer a problem from many people's: summaries, and models of who is right."""
