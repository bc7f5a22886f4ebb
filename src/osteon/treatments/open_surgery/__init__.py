"""Open surgery outside the spine."""
