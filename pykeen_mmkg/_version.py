"""The version, in a module that imports nothing (setup.cfg reads it)."""

VERSION = "0.1.0"
