"""Denosumab."""
