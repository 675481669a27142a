"""One scan: its arrays, their checks, and the batches made of them."""
