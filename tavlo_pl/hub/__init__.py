"""`tavlo push`: a tested run as a repository of the Hugging Face hub."""
