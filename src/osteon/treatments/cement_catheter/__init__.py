"""Cement-filled catheter or flexible nails with cement."""
