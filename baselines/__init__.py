"""Classical codecs, one file each. They reach compgen through the entry points ``compgen.compressors``."""
