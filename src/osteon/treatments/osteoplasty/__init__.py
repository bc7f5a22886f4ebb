"""Percutaneous osteoplasty (cementoplasty) alone."""
