"""The double of Google's Data Manager API v1 around Customer Match lists.

Sources: the API's own reference of requests, error reasons and limits, and the official client's
types. What a request asks is done at once here; its status stays PROCESSING for as long as wished.
"""
