"""HouseBuild: agents build a house from a blueprint while spiders attack."""
