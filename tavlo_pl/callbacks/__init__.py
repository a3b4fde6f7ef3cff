"""What a run leaves behind, apart from its model: files, films, tables and pictures."""
