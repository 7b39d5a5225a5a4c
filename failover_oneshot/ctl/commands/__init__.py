"""One module for each command of `failoverctl`."""
