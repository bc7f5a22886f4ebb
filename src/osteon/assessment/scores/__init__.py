"""Published scores, with intervals."""
