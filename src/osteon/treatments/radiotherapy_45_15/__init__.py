"""Radiotherapy, 45 Gy in 15 fractions."""
