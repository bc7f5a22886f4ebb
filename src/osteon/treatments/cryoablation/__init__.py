"""Cryoablation."""
