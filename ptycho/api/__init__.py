"""The functions that notebooks, scripts and commands call: one for each task."""
