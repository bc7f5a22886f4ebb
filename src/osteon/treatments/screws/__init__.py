"""Percutaneous screws with cement."""
