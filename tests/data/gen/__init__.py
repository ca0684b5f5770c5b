"""Makes sample scans with their ground truth; see ../generate.py."""
