"""Radiofrequency ablation, monopolar and bipolar."""
