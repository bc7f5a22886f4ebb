"""Radiotherapy, 30 Gy in 10 fractions."""
