"""The sections of the page: one file each, from the files of a run to the values that the template shows."""
