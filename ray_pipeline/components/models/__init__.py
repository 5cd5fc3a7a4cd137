"""Models: model families: how they train and how they score."""
