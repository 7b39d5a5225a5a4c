"""Method `files`: a set of files of any program that make an account active."""
