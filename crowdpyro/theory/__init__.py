"""The theorems of section 4 as functions, one file a theorem: what holds, and the printed forms by name."""
