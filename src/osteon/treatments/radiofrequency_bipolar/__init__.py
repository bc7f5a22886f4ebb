"""Bipolar radiofrequency ablation."""
