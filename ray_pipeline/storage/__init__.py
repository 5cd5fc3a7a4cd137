"""Storage: bytes by name, in a local folder or a bucket alike; each object is whole, or not there.

In: keys and bytes.
Out: the same bytes, checked; leases that one process holds.
May import: errors.
"""
