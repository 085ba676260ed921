"""The double of Mailchimp's Marketing API 3.0, as far as an audience sync touches it.

Sources: Mailchimp's reference and OpenAPI description; where those are silent, recorded exchanges
and issue threads. What is an educated guess is said so at the spot.
"""
