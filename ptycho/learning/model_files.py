"""Names of the two files of a trained model."""

WEIGHTS_FILE = "model.safetensors"
"""Weights and probe."""

MODEL_FILE = "settings.json"
"""How to build the network, and where it came from."""
