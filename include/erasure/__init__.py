"""Erasure: a person's data leave every place, and stay away."""
