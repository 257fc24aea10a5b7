"""Predictors that are models from the start, one file a family."""
