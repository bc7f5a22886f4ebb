"""Dose accounts of what is not simulated: totals, intervals and what is missing, never a dose for a patient."""
