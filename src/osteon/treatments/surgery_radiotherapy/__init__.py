"""Surgery followed by radiotherapy."""
