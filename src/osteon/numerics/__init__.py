"""Grids, marching and sampling that belong to no physics."""
