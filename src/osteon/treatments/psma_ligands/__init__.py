"""PSMA ligands."""
