"""The double of somebody's webhook receiver: checks each signature and keeps who is in.

It is what the text at the top of `include/destinations/webhook.py` asks of a receiver.
"""
