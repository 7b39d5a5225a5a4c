"""`failoverctl doctor`: reads the installation and reports findings with their fixes."""
