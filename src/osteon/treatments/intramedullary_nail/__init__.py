"""Intramedullary nail."""
