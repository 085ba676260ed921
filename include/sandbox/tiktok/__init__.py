"""The double of TikTok's Business API v1.3 around customer-file audiences.

Sources: the official client's models and list of error codes, and the API's documentation. Members
count at once here; an audience is shown as valid, with its size, after as long as wished.
"""
