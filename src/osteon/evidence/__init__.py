"""Papers, quotations and numbers with their sources."""
