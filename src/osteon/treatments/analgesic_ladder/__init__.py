"""Analgesic ladder."""
