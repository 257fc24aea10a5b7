"""Samplers, one file a modality. They reach compgen through the entry points ``compgen.samplers``."""
