"""Ablation with radiotherapy."""
