"""Iodine-131."""
