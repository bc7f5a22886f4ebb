"""Hollow perforated screws with cement."""
