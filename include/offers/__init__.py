"""Offers: single-use codes for customers, made by the models and pushed to the shops."""
