"""Model families: how they train and how they score."""
