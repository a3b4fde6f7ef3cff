"""Pictures and tables from arrays: pure functions, no media files and no Lightning."""
