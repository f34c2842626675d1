"""Worlds of blocks built by commands: StrBuild (letters) and HouseBuild (houses)."""
