"""The patient: case files, phantoms, implanted lesions."""
