"""Spine surgery."""
