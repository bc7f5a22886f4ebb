"""Radium-223."""
