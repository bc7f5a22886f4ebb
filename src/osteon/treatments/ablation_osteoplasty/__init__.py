"""Thermal ablation followed by cement."""
