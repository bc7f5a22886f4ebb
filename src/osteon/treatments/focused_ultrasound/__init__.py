"""Focused ultrasound guided by MR."""
