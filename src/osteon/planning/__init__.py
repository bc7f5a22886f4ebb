"""Plans: paths, settings, limits."""
