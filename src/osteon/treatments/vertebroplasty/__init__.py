"""Percutaneous vertebroplasty."""
