"""Cement augmented by needles (rebar)."""
