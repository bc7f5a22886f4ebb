"""Reference cases: a published number, ours beside it."""
