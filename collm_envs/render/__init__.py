"""Pictures of what agents did: text, voxel images, and an episode as one HTML page."""
