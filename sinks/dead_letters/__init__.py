"""Records that fail validation: where they are kept, and what an operator does with them."""
