"""Treatments: one folder each, one catalogue line each."""
