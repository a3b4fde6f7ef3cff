"""``tavlo app``: a page on this machine alone, where one drops a video and sees what makes its sound."""
