"""Radiotherapy, 20 Gy in 5 fractions."""
