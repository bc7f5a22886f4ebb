"""Corticosteroids."""
