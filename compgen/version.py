"""The version, where everything can read it that writes it down."""

__version__ = "0.1.0"
