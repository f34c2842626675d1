"""HouseBuild-v1: a house of which each agent sees some layers and holds some blocks, and a night watch."""
