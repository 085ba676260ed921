"""The double of Shopify's Admin GraphQL API 2026-10 for one shop: orders, customers, products,
events and bulk operations.

Sources: Shopify's introspection result, of which `admin_2026-10.graphql` is the part that is
answered here; its guides to rate limits, access scopes and bulk operations; for the messages of
refused bulk queries, recorded exchanges. Shopify does not publish how it prices values inside a
record (money, addresses): here they cost nothing, and each record a point.
"""
