"""The sections of the page: one file each, whose `context` returns the values that the template shows."""
