"""Every treatment: a status with cited reasons, and what is missing."""
