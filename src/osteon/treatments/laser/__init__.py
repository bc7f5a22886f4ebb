"""Laser ablation."""
