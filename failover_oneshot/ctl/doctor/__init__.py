"""`failoverctl doctor`: what it collects, and what it makes of that."""
