"""Bisphosphonates."""
