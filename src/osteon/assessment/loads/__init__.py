"""How a bone is loaded: one file a family of load cases, built from the outline and the image."""
