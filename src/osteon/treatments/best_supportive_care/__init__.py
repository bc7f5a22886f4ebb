"""Best supportive care."""
