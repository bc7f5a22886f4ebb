"""Stereotactic body radiotherapy."""
