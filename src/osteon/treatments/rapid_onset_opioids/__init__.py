"""Rapid-onset opioids for breakthrough pain."""
