"""The record of a run: what a command leaves in its folder, and how it is read back."""
