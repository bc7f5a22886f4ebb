"""Re-irradiation."""
