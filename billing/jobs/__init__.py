"""Jobs: may one start, what is held for it, how it ends, and what of it becomes usage."""
