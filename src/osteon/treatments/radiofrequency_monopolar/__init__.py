"""Monopolar radiofrequency ablation."""
