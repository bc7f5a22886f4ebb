"""Cryoablation with argon probes."""
