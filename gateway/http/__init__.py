"""How a request comes in and how it is answered: the protocol, the fast path, errors, counts, OpenAPI."""
