"""Cement with radiotherapy."""
