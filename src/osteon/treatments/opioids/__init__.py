"""Opioids round the clock."""
