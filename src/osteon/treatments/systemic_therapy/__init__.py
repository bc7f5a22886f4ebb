"""Systemic therapy (referral and interruption)."""
