"""The HTML page of `failoverctl report`."""
