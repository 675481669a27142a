"""Networks constrained by the measurement: the model, its training and its files."""
