"""Images, plots, tables and HTML pages from arrays: pure functions without media files and without Lightning."""
