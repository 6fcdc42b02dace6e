"""The subjects that the product is compared with; each is run as a process of its own and prints "ready" at its start.

Their only argument is a JSON object, described in `job.py`. Those of other libraries import nothing of the product.
"""
