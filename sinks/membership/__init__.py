"""Which partitions this sink owns, by which name, and until when it may write."""
