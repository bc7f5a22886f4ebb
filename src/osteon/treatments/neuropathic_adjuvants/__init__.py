"""Adjuvants for neuropathic and mixed pain."""
