"""Iterative reconstruction: from a first object to the object of the whole scan."""
