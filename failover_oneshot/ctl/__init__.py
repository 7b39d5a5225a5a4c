"""`failoverctl`, the operator's tool."""
