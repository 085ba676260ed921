"""Quality: small profiles of the data, what is expected of them, and the gates that enforce it."""
