"""The double of WooCommerce's REST API v3 for readers: orders, refunds, customers, products.

Sources: WooCommerce's reference and the controllers of its PHP. The shop itself is changed by the
control routes below `/_woocommerce`; what is an educated guess is said so at the spot.
"""
