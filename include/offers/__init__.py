"""Offers: codes for customers and their friends, made by the models and pushed to the shops."""
