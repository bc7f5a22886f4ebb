"""Radiotherapy, 8 Gy in 1 fraction."""
