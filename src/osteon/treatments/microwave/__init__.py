"""Microwave ablation."""
