"""Balloon kyphoplasty."""
