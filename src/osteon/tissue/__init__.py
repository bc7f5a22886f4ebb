"""Tissue properties and tolerance limits as cited data."""
