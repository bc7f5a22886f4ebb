"""Laser ablation with one interstitial fibre."""
