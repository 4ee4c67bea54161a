"""Reports of studies: one HTML file that needs nothing else, for a browser on a desk or in a hand."""
